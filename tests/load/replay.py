"""How fast read models are built anew: `python tests/load/replay.py [events]`, on a stack of its own.

The jobs of a demo are multiplied by copying their streams past the API; the relays and consumers
take them from there. Each figure stands beside a bare INSERT ... unnest of the same rows.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from operator import itemgetter
from random import Random
from uuid import UUID

import psycopg

from devstack import consumers
from devstack.stack import Stack
from eventstore.chain import genesis, hash_of, shard_of
from eventstore.tail import Row
from kernel.ids import Uuid7
from testkit.commands import bayline
from testkit.servers import own_stack

EVENTS = 200_000
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


def main(events: int) -> None:
    with own_stack() as stack:
        asyncio.run(bayline(stack, "demo"))
        rows = _multiply(stack, events)
        _say("events", len(rows))
        _say("live, all consumers, s", round(_drained(stack), 1))
        _say("bare unnest, events/s", round(_bare(stack, rows)))
        for name in PROJECTIONS:
            _say(f"{name}, events/s", round(_rebuilt(stack, name)))


def _multiply(stack: Stack, events: int) -> list[Row]:
    with psycopg.connect(stack.parts.environments.postgres.dsn("workshop")) as connection:
        stored = [Row(*row) for row in connection.execute(STORED, (LOG,))]
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


def _copies(stored: Sequence[Row], events: int, chance: Random) -> dict[int, list[Row]]:
    """Of whole streams, those of one shard interleaved."""
    ids, streams = Uuid7(), defaultdict[UUID, list[Row]](list)
    for row in stored:
        streams[row.stream].append(row)
    shards = defaultdict[int, list[tuple[float, Row]]](list)
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


def _drained(stack: Stack) -> float:
    """Seconds until every consumer has come to the end."""
    begun = time.monotonic()
    while any(line.lag_events for line in _progress(stack)):
        time.sleep(0.5)
    return time.monotonic() - begun


def _progress(stack: Stack) -> list[consumers.Progress]:
    with consumers.stores(stack.parts.environments.postgres) as found:
        return consumers.progress(found)


def _rebuilt(stack: Stack, name: str) -> float:
    """The whole command, processes and comparison included, as events a second."""
    begun = time.monotonic()
    said = asyncio.run(bayline(stack, "projections", "rebuild", name, "--json"))
    seconds = time.monotonic() - begun
    if said.code:
        raise SystemExit(said.err or said.out)
    (total,) = [each.second.total for each in _progress(stack) if each.name == name and each.second]
    return total / seconds


def _bare(stack: Stack, rows: Sequence[Row]) -> float:
    """One process, one connection, nothing but the rows."""
    with psycopg.connect(stack.parts.environments.postgres.dsn("workshop")) as connection:
        connection.execute(BARE)
        begun = time.monotonic()
        for start in range(0, len(rows), AT_ONCE):
            found = [_values(row) for row in rows[start : start + AT_ONCE]]
            connection.execute(INSERT, [list(column) for column in zip(*found, strict=True)])
        connection.commit()
        return len(rows) / (time.monotonic() - begun)


def _values(row: Row) -> tuple[object, ...]:
    return row.tenant, row.stream, row.ver, row.type, row.occurred_at, row.data


def _say(what: str, figure: float) -> None:
    sys.stdout.write(f"{what:<44}{figure:>12,}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)
