"""A log past the relay's cursor: what is not yet published, under a fenced lease."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from kernel.ids import IdGenerator, Uuid7

BATCH = 512
SHARE = 8  # at most an eighth of a batch comes from one shard

LEASE = """
UPDATE es.relay_lease SET owner = %s, fence = fence + 1, until = clock_timestamp() + interval '3 s'
 WHERE log = %s AND grp = %s AND (until < clock_timestamp() OR owner = %s) RETURNING fence
"""
FETCH = """
SELECT e.* FROM es.relay_cursor c CROSS JOIN LATERAL (
  SELECT * FROM es.linked e WHERE e.log = c.log AND e.shard = c.shard AND e.pos > c.pos
   ORDER BY e.pos LIMIT %s) e
 WHERE c.log = %s AND c.grp = %s
   AND c.pos < (SELECT h.pos FROM es.head h WHERE h.log = c.log AND h.shard = c.shard)
 ORDER BY e.recorded_at, e.shard, e.pos LIMIT %s
"""
ADVANCE = """
WITH lease AS (
  SELECT 1 FROM es.relay_lease WHERE log = %s AND grp = %s AND owner = %s AND fence = %s FOR SHARE)
UPDATE es.relay_cursor c SET pos = u.new
  FROM unnest(%s::smallint[], %s::bigint[], %s::bigint[]) u(shard, old, new), lease
 WHERE c.log = %s AND c.grp = %s AND c.shard = u.shard AND c.pos = u.old
"""
HASHES = """
SELECT u.shard, u.pos, (
    SELECT e.hash FROM es.event e WHERE e.log = %s AND e.shard = u.shard AND e.pos = u.pos)
  FROM unnest(%s::smallint[], %s::bigint[]) u(shard, pos)
"""
BACKLOG = """
SELECT coalesce(sum(h.pos - c.pos), 0)::bigint, min((
    SELECT e.recorded_at FROM es.event e WHERE e.log = c.log AND e.shard = c.shard AND e.pos = c.pos + 1))
  FROM es.relay_cursor c JOIN es.head h USING (log, shard)
 WHERE c.log = %s AND c.grp = %s AND h.pos > c.pos
"""


class LostLease(Exception):
    """Another relay took over: the cursor is where that one left it. Start afresh."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stored event, the hash before it, and the store's epoch: the columns of es.linked."""

    log: str
    shard: int
    pos: int
    tenant: str
    stream: UUID
    ver: int
    event_id: UUID
    type: str
    occurred_at: datetime
    recorded_at: datetime
    data: bytes
    meta: bytes
    hash: bytes
    previous_hash: bytes
    epoch: UUID


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is stored and not yet published."""

    events: int
    oldest: datetime | None


class PostgresTail:
    """What a relay reads, and how it remembers how far it got.

    `pos` is given under a lock that is held to commit, so whoever sees N sees all before N:
    reading past the cursor skips nothing, whatever is slow to commit.

    One tail is one relay: it owns the lease it took. Two of them never both move the cursor.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        log: str,
        group: int = 0,
        ids: IdGenerator | None = None,
    ) -> None:
        self.log = log
        self._pool = pool
        self._group = group
        self._owner = (ids or Uuid7()).new()
        self._fence = 0

    async def lease(self) -> bool:
        """Takes or renews the lease for 3 s; False while another relay holds it."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                LEASE, (self._owner, self.log, self._group, self._owner)
            )
            row = await cursor.fetchone()
        if row is None:
            return False
        self._fence = row[0]
        return True

    async def fetch(self, limit: int = BATCH) -> list[Row]:
        """The next rows past the cursor: per shard without a hole, over all oldest first."""
        share = max(1, limit // SHARE)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                FETCH, (share, self.log, self._group, limit), binary=True
            )
            return [Row(*row) for row in await cursor.fetchall()]

    async def advance(self, rows: Sequence[Row]) -> None:
        """Moves the cursor past `rows`, all of which are published. Raises LostLease."""
        steps: dict[int, tuple[int, int]] = {}
        for row in rows:
            old, last = steps.get(row.shard, (row.pos - 1, row.pos - 1))
            if row.pos != last + 1:
                raise ValueError(f"shard {row.shard}: {row.pos} does not follow {last}")
            steps[row.shard] = (old, row.pos)
        old_positions, new_positions = zip(*steps.values(), strict=True)
        where = (self.log, self._group)
        moved = (list(steps), list(old_positions), list(new_positions))
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                ADVANCE, (*where, self._owner, self._fence, *moved, *where)
            )
        if cursor.rowcount != len(steps):
            raise LostLease(f"{self.log}, group {self._group}")

    async def epoch(self) -> str:
        async with self._pool.connection() as connection:
            cursor = await connection.execute("SELECT epoch FROM es.store")
            ((epoch,),) = await cursor.fetchall()
        return str(epoch)

    async def hashes(self, places: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """The chain after each (shard, pos) that is stored."""
        shards, positions = [shard for shard, _ in places], [pos for _, pos in places]
        async with self._pool.connection() as connection:
            cursor = await connection.execute(HASHES, (self.log, shards, positions))
            rows = await cursor.fetchall()
        return {(shard, pos): digest for shard, pos, digest in rows if digest is not None}

    async def backlog(self) -> Backlog:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(BACKLOG, (self.log, self._group))
            ((events, oldest),) = await cursor.fetchall()
        return Backlog(events, oldest)
