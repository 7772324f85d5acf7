"""Evidence out of a local stack that has come to rest: stores, topics, read models, cursors."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from devstack import consumers, topology
from devstack.environments import Environments
from eventstore.chain import genesis
from eventstore.store import Claim
from messaging.envelope import Envelope, Undecodable, envelope_from, envelope_of
from messaging.kafka import KafkaSettings, last_records
from testkit.proof.audited import audited, broken_seals
from testkit.proof.evidence import Consumed, Evidence, Head, Held, Place, StoredEvent, UsedKey
from testkit.proof.folds import (
    NO_ROWS,
    claims_of,
    projections,
    rows_in,
    rows_of,
    streams_of,
    unread_of,
)
from testkit.proof.history import Command

EVERY_RECORD = 1 << 40

EVENTS = """
SELECT log, shard, pos, tenant, stream, ver, event_id, type, occurred_at, recorded_at, data, meta, hash
FROM es.event ORDER BY log, shard, pos"""
HEADS = "SELECT log, shard, pos, hash FROM es.head"
RELAYED = "SELECT log, shard, pos FROM es.relay_cursor"
KEYS = "SELECT log, tenant, key, stream, last_ver AS version FROM es.idem"
CLAIMS = "SELECT tenant, stream, scope, key, lower(during), upper(during) FROM es.claim"
CURSORS = "SELECT name, log, shard, pos FROM consumer.cursor"
STATUS = """
SELECT s.name, CASE s.state WHEN 'halted' THEN 'halted: ' || s.reason ELSE '' END,
       (SELECT count(*) FROM consumer.parked p WHERE p.name = s.name), s.rebuild_needed
FROM consumer.status s"""


QUIET_SECONDS = 120.0
LOOK_SECONDS = 0.2


async def quiet(environments: Environments) -> None:
    """Waits until relays and consumers have caught up. What is behind then, the invariants name."""
    deadline = time.monotonic() + QUIET_SECONDS
    with consumers.stores(environments.postgres) as stores:
        while time.monotonic() < deadline:
            before = stores.heads()
            behind = any(each.lag_events for each in consumers.progress(stores))
            await asyncio.sleep(LOOK_SECONDS)
            if not behind and stores.heads() == before:
                return


async def gather(environments: Environments, commands: Sequence[Command] | None = None) -> Evidence:
    """Nothing may write meanwhile. Each service's read models are made anew beside it."""
    server = environments.postgres
    dsns = {service.name: server.dsn(service.name) for service in topology.EVENT_SOURCED}
    found = [_of_store(dsn) for dsn in dsns.values()]
    events = [event for store in found for event in store.events]
    topics, strangers = await _topics(environments.kafka)
    log, streams = list(_envelopes(events)), streams_of(events)
    owed = [await rows_of(environments, service, log) for service in dsns]
    rows = [rows_in(dsn, service) for service, dsn in dsns.items()]
    consumed = [each for store in found for each in store.consumers]
    consumed += _consumers_of(server.dsn(topology.AUDIT.name))
    return Evidence(
        commands=commands,
        events=events,
        heads={place: head for store in found for place, head in store.heads.items()},
        relayed={place: pos for store in found for place, pos in store.relayed.items()},
        keys=[key for store in found for key in store.keys],
        claims=frozenset(claim for store in found for claim in store.claims),
        owed_claims=frozenset(claims_of(streams)),
        unread=unread_of(streams),
        topics=topics,
        strangers=strangers,
        consumers=consumed,
        unchecked=_unchecked(consumed),
        rows={table: found for each in rows for table, found in each.items()},
        owed_rows={table: found for each in owed for table, found in each.items()},
        audited=list(audited(environments)),
        broken_seals=await broken_seals(environments),
    )


def _of_store(dsn: str) -> Evidence:
    with psycopg.connect(dsn, autocommit=True) as connection:
        with connection.cursor(row_factory=class_row(StoredEvent)) as cursor:
            events = cursor.execute(EVENTS).fetchall()
        with connection.cursor(row_factory=class_row(UsedKey)) as cursor:
            keys = cursor.execute(KEYS).fetchall()
        heads = {(log, shard): Head(pos, of) for log, shard, pos, of in connection.execute(HEADS)}
        return Evidence(
            events=events,
            keys=keys,
            heads=heads,
            relayed={(log, shard): pos for log, shard, pos in connection.execute(RELAYED)},
            claims=frozenset(
                Held(tenant, stream, Claim(*claim))
                for tenant, stream, *claim in connection.execute(CLAIMS)
            ),
            consumers=_consumers(connection),
        )


def _consumers_of(dsn: str) -> list[Consumed]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return _consumers(connection)


def _consumers(connection: Connection) -> list[Consumed]:
    cursors: defaultdict[str, dict[Place, int]] = defaultdict(dict)
    for name, log, shard, pos in connection.execute(CURSORS):
        cursors[name][log, shard] = pos
    return [Consumed(name, cursors[name], *rest) for name, *rest in connection.execute(STATUS)]


def _unchecked(consumed: Iterable[Consumed]) -> list[str]:
    folded = {each.projection.name for of in projections().values() for each in of}
    return sorted({consumer.name for consumer in consumed} - folded - NO_ROWS)


async def _topics(kafka: KafkaSettings) -> tuple[dict[str, list[Envelope]], list[str]]:
    found: dict[str, list[Envelope]] = {}
    strangers = []
    for topic in topology.logs():
        records = await last_records(kafka, topic, EVERY_RECORD)
        found[topic] = []
        for record in records:
            try:
                found[topic].append(envelope_of(record))
            except Undecodable as error:
                strangers.append(f"{topic}/{record.partition}/{record.offset}: {error}")
    return found, strangers


def _envelopes(events: Iterable[StoredEvent]) -> Iterable[Envelope]:
    """As a relay would publish them. The epoch is of no importance to a projection."""
    chain: dict[Place, bytes] = {}
    for event in events:
        before = chain.get(event.place, genesis(*event.place))
        row = {name: getattr(event, name) for name in StoredEvent.__slots__}
        yield envelope_from(SimpleNamespace(**row, previous_hash=before, epoch=""))
        chain[event.place] = event.hash
