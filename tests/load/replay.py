"""How fast a history is projected anew, and exported."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from operator import itemgetter
from random import Random
from uuid import UUID

import psycopg

from devstack.stack import Stack
from eventstore.chain import genesis, hash_of, shard_of
from eventstore.tail import Row as Event
from kernel.ids import Uuid7
from testkit.commands import bayline
from tests.load.export import exported
from tests.load.report import Goal, Part, Row
from tests.load.settled import progress, settled

EVENTS = 100_000
LOG = "bayline.workshop.v1.JobEvent"
PROJECTIONS = ("vehicle.service-history", "technician.workload", "workshop.job-list")
STORED = "SELECT * FROM es.linked WHERE log = %s ORDER BY tenant, stream, ver"
HEADS = "SELECT shard, pos, hash, greatest(at, '2000-01-01') FROM es.head WHERE log = %s"
COPY = """
COPY es.event (log, shard, pos, tenant, stream, ver, event_id, type, occurred_at, recorded_at, data,
  meta, hash) FROM STDIN"""
MOVE = "UPDATE es.head SET pos = %s, hash = %s, at = %s WHERE log = %s AND shard = %s"
BARE = """
CREATE TEMPORARY TABLE bare (tenant text, stream uuid, ver int, type text, occurred_at timestamptz,
  data bytea, PRIMARY KEY (tenant, stream, ver))"""
INSERT = """
INSERT INTO bare SELECT * FROM unnest(%s::text[], %s::uuid[], %s::int[], %s::text[],
  %s::timestamptz[], %s::bytea[])"""
AT_ONCE = 4000
NEAR = 40  # events of other jobs in the shard, between two of one job
HOW = f"""The jobs of `bayline demo` are multiplied to {EVENTS:,} events by copying their streams past the API, those of a shard interleaved. A rebuild is all of `bayline projections rebuild`, processes started and rows compared with the live generation, divided into the events of its logs. The baseline is one connection that inserts the same events as they are, {AT_ONCE:,} at once by `INSERT ... SELECT FROM unnest(...)`, into a table with one key: nothing is decoded or folded. An export is all of `bayline streams export` of one tenant's half of these events; its baseline a `COPY` of the same rows to a file."""


async def measured(stack: Stack) -> Part:
    await _said(stack, "demo")
    rows = _multiply(stack, EVENTS)
    caught_up = Row("all consumers, catching up live", len(rows) / settled(stack), "events/s")
    bare = bare_inserts(stack, rows)
    rebuilt = [_row(name, await _rebuilt(stack, name), bare) for name in PROJECTIONS]
    return Part("Replay and export", HOW, (*rebuilt, caught_up, *await exported(stack)))


def _row(name: str, events_per_second: float, bare: float) -> Row:
    goals = Goal(">=", 20_000), Goal(">=", 0.4, of="ratio")
    return Row(f"rebuild of {name}", events_per_second, "events/s", bare, "bare unnest", goals)


def _multiply(stack: Stack, events: int) -> list[Event]:
    with psycopg.connect(stack.parts.environments.postgres.dsn("workshop")) as connection:
        stored = [Event(*row) for row in connection.execute(STORED, (LOG,))]
        copied = _copies(stored, events - len(stored), Random(1))
        heads = {s: (pos, last, at) for s, pos, last, at in connection.execute(HEADS, (LOG,))}
        with connection.cursor().copy(COPY) as copy:
            for shard, rows in copied.items():
                pos, last, at = heads[shard]
                for row in rows:
                    pos, at = pos + 1, max(at, row.recorded_at) + timedelta(microseconds=1)
                    placed = replace(row, pos=pos, recorded_at=at)
                    last = hash_of(placed, last if pos > 1 else genesis(LOG, shard))
                    values = (placed.ver, placed.event_id, placed.type, placed.occurred_at, at)
                    head = (LOG, shard, pos, placed.tenant, placed.stream)
                    copy.write_row((*head, *values, placed.data, placed.meta, last))
                heads[shard] = pos, last, at
        for shard in copied:
            connection.execute(MOVE, (*heads[shard], LOG, shard))
    return stored + [row for rows in copied.values() for row in rows]


def _copies(stored: Sequence[Event], events: int, chance: Random) -> dict[int, list[Event]]:
    """Of whole streams, those of one shard interleaved."""
    ids, streams = Uuid7(), defaultdict[UUID, list[Event]](list)
    for row in stored:
        streams[row.stream].append(row)
    shards = defaultdict[int, list[tuple[float, Event]]](list)
    made = 0
    while made < events:
        rows = chance.choice(list(streams.values()))
        stream = ids.new()
        shard = shard_of(rows[0].tenant, stream)
        for row in rows:
            copied = replace(row, stream=stream, shard=shard, event_id=ids.new())
            shards[shard].append((made / 64 + row.ver * NEAR, copied))
        made += len(rows)
    return {s: [row for _, row in sorted(rows, key=itemgetter(0))] for s, rows in shards.items()}


async def _rebuilt(stack: Stack, name: str) -> float:
    """The whole command, processes and comparison included, as events a second."""
    begun = time.monotonic()
    await _said(stack, "projections", "rebuild", name, "--json")
    seconds = time.monotonic() - begun
    (total,) = [each.second.total for each in progress(stack) if each.name == name and each.second]
    return total / seconds


async def _said(stack: Stack, *words: str) -> None:
    said = await bayline(stack, *words)
    if said.code:
        raise SystemExit(said.err or said.out)


def bare_inserts(stack: Stack, rows: Sequence[Event]) -> float:
    """One process, one connection, nothing but the rows."""
    with psycopg.connect(stack.parts.environments.postgres.dsn("workshop")) as connection:
        connection.execute(BARE)
        begun = time.monotonic()
        for start in range(0, len(rows), AT_ONCE):
            found = [_values(row) for row in rows[start : start + AT_ONCE]]
            connection.execute(INSERT, [list(column) for column in zip(*found, strict=True)])
        connection.commit()
        return len(rows) / (time.monotonic() - begun)


def _values(row: Event) -> tuple[object, ...]:
    return row.tenant, row.stream, row.ver, row.type, row.occurred_at, row.data
