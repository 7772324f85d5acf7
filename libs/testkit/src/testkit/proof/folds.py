"""What the log adds up to, computed anew: the claims of its streams, the rows of its projections."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from assembly.service import Subscription
from audit.adapters.sequencer import Sequencer
from devstack import databases
from devstack.databases import Database
from devstack.environments import Environments
from eventstore.decider import Decider, fold
from eventstore.decoding import decoded
from eventstore.mapping import OneofCodec
from eventstore.memory import InMemoryEventStore
from eventstore.store import Recorded, Stream, Unread
from kernel.ids import Uuid7
from keyring.adapters import codec as keyring
from keyring.domain.subject import SUBJECT
from messaging.envelope import Envelope, Undecodable
from messaging.parking import Projection
from runtime.migrate import migrate
from technician.adapters import codec as technician
from technician.adapters.projections import Roster, workloads
from technician.domain.technician import TECHNICIAN
from testkit.grpc_service import learn
from testkit.proof.evidence import Held, StoredEvent
from testkit.seen import a_pool
from vehicle.adapters import codec as vehicle
from vehicle.adapters.projections import service_history, vehicle_list
from vehicle.domain.vehicle import VEHICLE
from workshop.adapters import codec as workshop
from workshop.adapters.kafka import CertificationReactions, read_models
from workshop.domain.job.decider import JOB
from workshop.domain.site import SITE
from workshop.domain.tenant import TENANT

StreamName: TypeAlias = tuple[str, str, UUID]  # log, tenant, stream
Aggregate: TypeAlias = tuple[OneofCodec[Any], Decider[Any, Any, Any, Any]]

AGGREGATES: Sequence[Aggregate] = (
    (workshop.JOB_EVENTS, JOB),
    (workshop.SITE_EVENTS, SITE),
    (workshop.TENANT_EVENTS, TENANT),
    (vehicle.EVENTS, VEHICLE),
    (technician.EVENTS, TECHNICIAN),
    (keyring.EVENTS, SUBJECT),
)
NO_ROWS = frozenset(
    {
        CertificationReactions.name,
        Sequencer.name,
        "workshop.forgotten",
        "technician.forgotten",
    }
)
"""They send commands, forget keys, or keep records that are checked for themselves."""
GIVEN_UP = "SELECT log, shard, pos FROM consumer.discarded WHERE name = %s"
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = to_regnamespace('read') AND relkind IN ('r', 'v') ORDER BY 1"""


def projections() -> Mapping[str, Sequence[Subscription]]:
    """Of each service; the job list finds all it needs in the one batch it gets."""
    return {
        "workshop": read_models(InMemoryEventStore(log=workshop.JOB_EVENTS.log)),
        "vehicle": [
            Subscription([vehicle.EVENTS.log], vehicle_list()),
            Subscription([vehicle.JOB_EVENTS.log], service_history()),
        ],
        "technician": [
            Subscription([technician.EVENTS.log], Roster()),
            Subscription([technician.JOB_EVENTS.log], workloads()),
        ],
        "keyring": [],
    }


def streams_of(events: Iterable[StoredEvent]) -> dict[StreamName, Stream[Any]]:
    """`events` in the order of their versions; what this release cannot read is named in them."""
    codecs = {codec.log: codec for codec, _ in AGGREGATES}
    stored: defaultdict[StreamName, list[Recorded[Any] | Unread]] = defaultdict(list)
    for event in events:
        times = event.occurred_at, event.recorded_at
        row = event.ver, event.type, *times, event.event_id, event.data, event.meta
        stored[event.log, event.tenant, event.stream].append(decoded(codecs[event.log], *row))
    return {name: Stream.of(name[2], each) for name, each in stored.items()}


def claims_of(streams: Mapping[StreamName, Stream[Any]]) -> Iterator[Held]:
    deciders = {codec.log: decider for codec, decider in AGGREGATES}
    for (log, tenant, name), stream in streams.items():
        decider = deciders[log]
        for claim in decider.claims(fold(decider.evolve, decider.initial, stream.events)):
            yield Held(tenant, name, claim)


def unread_of(streams: Mapping[StreamName, Stream[Any]]) -> list[str]:
    return [
        f"event {each.version} of {name} of {tenant} in {log}, a {each.type} {each.damage}".rstrip()
        for (log, tenant, name), stream in streams.items()
        for each in stream.unread
    ]


async def rows_of(
    environments: Environments, service: str, log: Sequence[Envelope]
) -> dict[str, list[Any]]:
    """The service's read models of the log, each made by one batch in an empty database.

    Of the whole log, but for what a person gave up.
    """
    if not projections()[service]:
        return {}
    with _empty(environments, service) as empty:
        async with a_pool(empty.superuser_dsn) as pool:
            for subscription in projections()[service]:
                projection = subscription.projection
                given_up = _given_up(environments.postgres.dsn(service), projection.name)
                ours = (
                    each
                    for each in log
                    if each.topic in subscription.topics
                    and (each.topic, each.shard, each.pos) not in given_up
                )
                await learn(pool, projection, list(_known(projection, ours)))
        return rows_in(empty.superuser_dsn, service)


def _given_up(dsn: str, consumer: str) -> set[tuple[str, int, int]]:
    with psycopg.connect(dsn) as connection:
        return set(connection.execute(GIVEN_UP, [consumer]).fetchall())


def _known(projection: Projection, log: Iterable[Envelope]) -> Iterator[tuple[Envelope, object]]:
    """A consumer passes over what it does not know, and parks what nobody can read."""
    for each in log:
        with suppress(Undecodable):
            if (content := projection.decode(each)) is not None:
                yield each, content


def rows_in(dsn: str, service: str) -> dict[str, list[Any]]:
    """Every row of every read model, whatever its columns."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return {
            f"{service}.{table}": [
                row
                for (row,) in connection.execute(
                    SQL("SELECT to_jsonb(t) FROM {} t").format(Identifier("read", table))
                )
            ]
            for (table,) in connection.execute(TABLES).fetchall()
        }


@contextmanager
def _empty(environments: Environments, service: str) -> Iterator[Database]:
    server, name = environments.postgres, f"{service}_{Uuid7().new().hex}"
    try:
        made = databases.prepare(server, service, environments.passwords(service), name)
        migrate(made.superuser_dsn, service)
        yield made
    finally:
        databases.drop(server, name)
