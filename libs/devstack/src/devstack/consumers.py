"""How far each relay and each consumer is, read from the services' databases."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import psycopg
from psycopg import Connection
from psycopg.errors import UndefinedTable

from devstack import topology
from devstack.failure import StackFailure
from devstack.postgres import Server
from kernel.clock import SystemClock
from messaging.dlq import dlq_of

HEADS = "SELECT log, shard, pos FROM es.head WHERE pos > 0"
RELAYED = "SELECT log, shard, pos FROM es.relay_cursor"
CURSORS = "SELECT name, log, shard, pos FROM consumer.cursor"
STATUS = """
SELECT s.name, s.state, s.reason, s.epoch, s.rebuild_needed,
       (SELECT count(*) FROM consumer.parked_stream p WHERE p.name = s.name),
       (SELECT count(*) FROM consumer.parked p WHERE p.name = s.name)
FROM consumer.status s ORDER BY s.name"""
UNPUBLISHED = """
SELECT log, count(*), extract(epoch FROM clock_timestamp() - min(parked_at))::float
FROM consumer.parked WHERE relayed_at IS NULL AND parked_at < clock_timestamp() - interval '10 s'
GROUP BY log ORDER BY log"""
EPOCH = "SELECT epoch::text FROM es.store"
UNAWARE = """
SELECT DISTINCT name, log FROM consumer.cursor
WHERE epoch NOT IN ('', %s) AND name IN (SELECT name FROM consumer.status) ORDER BY name, log"""
GENERATIONS = """
SELECT g.name, g.number, g.state, g.rate, g.built_at IS NOT NULL, g.compared_at IS NOT NULL,
       g.compared_rows, g.differing,
       (SELECT coalesce(sum(c.pos), 0)::bigint FROM consumer.cursor c WHERE c.name = g.name || '@' || g.number)
FROM consumer.generation g ORDER BY g.name, g.number"""
OLDEST = """
SELECT min(e.recorded_at) FROM es.event e
JOIN unnest(%s::text[], %s::smallint[], %s::bigint[]) AS next(log, shard, pos)
  USING (log, shard, pos)"""

Shard = tuple[str, int]  # log and shard
Positions = dict[Shard, int]


@dataclass(frozen=True, slots=True)
class Second:
    """The generation of a read model that is not read."""

    number: int
    state: str  # building | following
    done: int  # events, while it is built
    total: int
    rate: int  # a second
    built: bool
    compared: bool
    rows: int
    differing: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A relay (store to Kafka) or a consumer (Kafka to read models), and what it has not done.

    What consumers parked is relayed too: a line for each `.dlq` topic that does not take it.
    """

    name: str
    service: str
    state: str = "running"  # running | halted | held up
    reason: str = ""
    epoch: str = ""  # of a halted one: the epoch that it met
    lag_events: int = 0
    lag_seconds: float = 0.0
    parked_streams: int = 0
    parked_events: int = 0
    rebuild_needed: int = 0
    generation: int = 0  # of its read model, if it has one: the one that is read
    second: Second | None = None


@dataclass(frozen=True, slots=True)
class Unaware:
    """A consumer that has yet to meet the epoch of a log that it reads."""

    name: str
    service: str
    log: str


@dataclass(frozen=True, slots=True)
class Stores:
    """A connection to each service's database that has its schema."""

    connections: Mapping[str, Connection] = field(default_factory=dict)

    def heads(self) -> Positions:
        found = (connection.execute(HEADS) for connection in self.kept().values())
        return {(log, shard): pos for rows in found for log, shard, pos in rows}

    def kept(self) -> Mapping[str, Connection]:
        """Of those only the ones with an event store."""
        names = {service.name for service in topology.EVENT_SOURCED}
        return {name: found for name, found in self.connections.items() if name in names}

    def oldest(self, behind: Mapping[Shard, int]) -> datetime | None:
        """When the first event after each of these positions was recorded; the earliest of all."""
        times = [
            time
            for service, connection in self.kept().items()
            if (time := _oldest(connection, _of_service(service, behind))) is not None
        ]
        return min(times, default=None)


@contextmanager
def stores(server: Server) -> Iterator[Stores]:
    """As superuser of the local stack. Services that were never migrated are left out."""
    with ExitStack() as open_ones:
        connections = {}
        for service in topology.STORING:
            try:
                connection = open_ones.enter_context(
                    psycopg.connect(server.dsn(service.name), autocommit=True, connect_timeout=3)
                )
                connection.execute(STATUS)
                if service.event_sourced:
                    connection.execute(HEADS)
            except UndefinedTable:
                continue
            except psycopg.OperationalError as error:
                raise StackFailure(
                    f"the database {service.name} does not answer: {error}",
                    hint="start it: `bayline up`",
                ) from error
            connections[service.name] = connection
        yield Stores(connections)


def progress(of: Stores) -> list[Progress]:
    heads = of.heads()
    lines = []
    for service, connection in of.kept().items():
        relayed = {(log, shard): pos for log, shard, pos in connection.execute(RELAYED)}
        lines.append(_measured(Progress(f"{service}.relay", service), relayed, heads, of))
    for service, connection in of.connections.items():
        lines.extend(_consumers(service, connection, heads, of))
        lines.extend(_dead_letters(service, connection))
    return lines


def unaware(of: Stores, epoch: str) -> list[Unaware]:
    """Who would halt on it at the next event; nobody if it is no store's epoch."""
    renewed = [service for service, current in epochs(of).items() if current == epoch]
    return [
        Unaware(name, service, log)
        for service, connection in of.connections.items()
        for name, log in connection.execute(UNAWARE, (epoch,))
        if topology.owner_of(log) in renewed
    ]


def epochs(of: Stores) -> Mapping[str, str]:
    """Of each service's store, by the service's name."""
    return {name: epoch for name, store in of.kept().items() for (epoch,) in store.execute(EPOCH)}


def _dead_letters(service: str, connection: Connection) -> list[Progress]:
    """Each topic that has not taken its dead letters for a while, by name."""
    return [
        Progress(
            f"{service}.dlq",
            service,
            state="held up",
            reason=f"{dlq_of(log)} takes no dead letters: is it there?",
            lag_events=events,
            lag_seconds=round(seconds, 1),
        )
        for log, events, seconds in connection.execute(UNPUBLISHED)
    ]


def _consumers(
    service: str, connection: Connection, heads: Positions, of: Stores
) -> list[Progress]:
    cursors: dict[str, Positions] = {}
    for name, log, shard, pos in connection.execute(CURSORS):
        cursors.setdefault(name, {})[log, shard] = pos
    generations = _generations(connection, cursors, heads)
    return [
        _measured(
            Progress(
                name,
                service,
                state=state,
                reason=reason,
                epoch=epoch,
                rebuild_needed=rebuild_needed,
                parked_streams=streams,
                parked_events=events,
                generation=generations.get(name, (0, None))[0],
                second=generations.get(name, (0, None))[1],
            ),
            cursors.get(name, {}),
            heads,
            of,
        )
        for name, state, reason, epoch, rebuild_needed, streams, events in connection.execute(
            STATUS
        ).fetchall()
    ]


def _generations(
    connection: Connection, cursors: Mapping[str, Positions], heads: Positions
) -> Mapping[str, tuple[int, Second | None]]:
    """By name of the projection: the number of the live one, and the other one if there is one."""
    live: dict[str, int] = {}
    second: dict[str, Second] = {}
    for name, number, state, rate, *built, done in connection.execute(GENERATIONS):
        total = sum(heads.get(place, 0) for place in cursors.get(name, ()))
        if state == "live":
            live[name] = number
        else:
            second[name] = Second(number, state, done, total, round(rate), *built)
    return {name: (number, second.get(name)) for name, number in live.items()}


def _measured(progress: Progress, done: Positions, heads: Positions, of: Stores) -> Progress:
    """`done` has a position for every shard of every log that it follows."""
    behind = {shard: pos for shard, pos in done.items() if heads.get(shard, 0) > pos}
    events = sum(heads[shard] - pos for shard, pos in behind.items())
    oldest = of.oldest(behind) if behind else None
    seconds = (SystemClock().now() - oldest).total_seconds() if oldest else 0.0
    return replace(progress, lag_events=events, lag_seconds=round(max(0.0, seconds), 1))


def _oldest(connection: Connection, behind: Mapping[Shard, int]) -> datetime | None:
    logs = [log for log, _ in behind]
    shards = [shard for _, shard in behind]
    following = [pos + 1 for pos in behind.values()]
    row = connection.execute(OLDEST, (logs, shards, following)).fetchone()
    return row[0] if row else None


def _of_service(service: str, positions: Mapping[Shard, int]) -> Mapping[Shard, int]:
    return {
        (log, shard): pos
        for (log, shard), pos in positions.items()
        if topology.owner_of(log) == service
    }
