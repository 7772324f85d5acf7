"""What the audit has recorded of a stack, and whether it is still what was signed."""

import base64
from collections.abc import Iterator

import psycopg

from audit.adapters.anchors import kept_on_topic
from audit.adapters.keys import Ed25519Signer
from audit.adapters.stores import hash_of
from audit.adapters.verifier import tenants_of, verify_stored
from devstack import topology
from devstack.environments import LOG_NAME, Environments
from testkit.proof.evidence import Audited

RECORDS = "SELECT topic, shard, pos, tenant, record FROM audit.leaf"


def audited(environments: Environments) -> Iterator[Audited]:
    """Each record, with the hash that the event must have had."""
    with psycopg.connect(environments.postgres.dsn(topology.AUDIT.name)) as connection:
        for log, shard, pos, tenant, record in connection.execute(RECORDS, binary=True):
            yield Audited((log, shard), pos, tenant, hash_of(record))


async def broken_seals(environments: Environments) -> list[str]:
    """Of every tenant's tree: what no longer is as some checkpoint says, here or on the topic."""
    dsn = environments.postgres.dsn(topology.AUDIT.name)
    seed = base64.b64decode(environments.secrets.key("audit"))
    verifier = Ed25519Signer(LOG_NAME, seed).verifier()
    kept = await kept_on_topic(environments.kafka)
    found = []
    for tenant in tenants_of(dsn):
        anchors = [note for whose, note in kept if whose == tenant]
        report = verify_stored(dsn, tenant, anchors, verifier)
        found += [f"record {each.seq} of {tenant}: {each.what}" for each in report.findings]
    return found
