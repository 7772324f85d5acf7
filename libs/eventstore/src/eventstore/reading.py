"""A log from any position on, page by page: no reader holds a snapshot, however long it reads."""

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from eventstore.chain import SHARDS
from eventstore.tail import Row
from kernel.errors import InvalidArgument, NotFound

PAGE = 500
SMALL_PAGE = 64
BEGINNING = datetime.min.replace(tzinfo=UTC)
BEFORE_ALL = UUID(int=0)

Vector: TypeAlias = Sequence[int]  # a position for each shard

SHARD = """
SELECT * FROM es.linked e
 WHERE e.log = %s AND e.shard = %s AND e.pos BETWEEN %s AND %s ORDER BY e.pos LIMIT %s
"""
TENANT = """
SELECT e.* FROM unnest(%s::smallint[], %s::bigint[], %s::bigint[]) u(shard, after, until)
 CROSS JOIN LATERAL (
   SELECT * FROM es.linked e
    WHERE e.log = %s AND e.tenant = %s AND e.shard = u.shard AND e.pos > u.after AND e.pos <= u.until
      AND e.recorded_at >= %s AND (%s::uuid IS NULL OR e.stream = %s::uuid)
    ORDER BY e.pos LIMIT %s) e
 ORDER BY e.shard, e.pos
"""
STREAMS = """
WITH RECURSIVE next(stream, number) AS (
  (SELECT e.stream, 1 FROM es.event e WHERE e.tenant = %s AND e.stream > %s ORDER BY e.stream LIMIT 1)
  UNION ALL
  SELECT after.stream, number + 1 FROM next CROSS JOIN LATERAL (
    SELECT e.stream FROM es.event e WHERE e.tenant = %s AND e.stream > next.stream
     ORDER BY e.stream LIMIT 1) after
   WHERE number < %s)
SELECT e.* FROM next CROSS JOIN LATERAL (
  SELECT * FROM es.linked e WHERE e.tenant = %s AND e.stream = next.stream ORDER BY e.ver) e
"""
HEADS = """
SELECT s.epoch, h.pos, c.pos FROM es.head h JOIN es.relay_cursor c USING (log, shard)
 CROSS JOIN es.store s
 WHERE h.log = %s ORDER BY h.shard
"""


class LogNotFound(NotFound):
    """This service keeps no such log."""


class PositionsUnreadable(InvalidArgument):
    """A vector has one position for each of the 64 shards, or none at all."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Where a log stands: last stored, last published, for each shard."""

    epoch: str
    stored: Vector
    relayed: Vector


class LogReader:
    """All tenants' events: only for callers that were checked."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        *,
        page: int = PAGE,
        small_page: int = SMALL_PAGE,
    ) -> None:
        self._pool = pool
        self._page = page
        self._small_page = small_page

    async def heads(self, log: str) -> Heads:
        rows = await self._rows(HEADS, log)
        if len(rows) != SHARDS:
            raise LogNotFound(f"there is no log {log}", log=log)
        epoch, *_ = rows[0]
        return Heads(str(epoch), [row[1] for row in rows], [row[2] for row in rows])

    async def shard(
        self, log: str, shard: int, from_pos: int, to_pos: int = 0
    ) -> AsyncIterator[Row]:
        """In order, from `from_pos` to `to_pos`; 0 is all there is now."""
        last = to_pos or (await self._stored(log))[shard]
        after = from_pos - 1
        while after < last:
            rows = await self._rows(SHARD, log, shard, after + 1, last, self._page)
            for row in rows:
                yield Row(*row)
            if len(rows) < self._page:
                return
            after = rows[-1][2]

    async def tenant(
        self,
        log: str,
        tenant: str,
        *,
        after: Vector = (),
        until: Vector = (),
        recorded_from: datetime = BEGINNING,
        stream: UUID | None = None,
    ) -> AsyncIterator[Row]:
        """By (recorded_at, shard, pos): the order within a shard is exact, across shards near.

        The same vectors give the same events, for ever.
        """
        lanes = Lanes(_vector(after) or [0] * SHARDS, _vector(until) or await self._stored(log))
        wanted = (log, tenant, recorded_from, stream, stream, self._small_page)
        while lanes.open:
            dry = lanes.dry()
            for row in await self._rows(TENANT, *lanes.spans(dry), *wanted):
                lanes.add(Row(*row))
            lanes.close_short(dry, self._small_page)
            for ready in lanes.ready():
                yield ready

    async def streams(self, log: str, tenant: str, until: Vector = ()) -> AsyncIterator[Row]:
        """Stream by stream, each in the order of its versions, as far as `until`.

        A page is so many streams, each found by a look into the index and read by another; the
        streams are put in order here. Asked for an order of all, or for a plain join, a planner
        without statistics reads the whole tenant for each page.
        """
        last = _vector(until) or await self._stored(log)
        after = BEFORE_ALL
        while True:
            wanted = (tenant, after, tenant, self._small_page, tenant)
            rows = [Row(*row) for row in await self._rows(STREAMS, *wanted)]
            rows.sort(key=lambda row: (row.stream, row.ver))
            for row in rows:
                if row.log == log and row.pos <= last[row.shard]:
                    yield row
            if not rows:
                return
            after = rows[-1].stream

    async def _stored(self, log: str) -> Vector:
        return (await self.heads(log)).stored

    async def _rows(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, parameters, binary=True)
            return await cursor.fetchall()


class Lanes:
    """A queue for each shard, merged by time. `open` are those that may get more rows."""

    def __init__(self, after: Vector, until: Vector) -> None:
        self._after = list(after)
        self._until = until
        self._rows: list[deque[Row]] = [deque() for _ in after]
        self.open = {shard for shard, end in enumerate(until) if end > after[shard]}

    def dry(self) -> list[int]:
        return [shard for shard in self.open if not self._rows[shard]]

    def spans(self, shards: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        after = [self._after[shard] for shard in shards]
        return list(shards), after, [self._until[shard] for shard in shards]

    def add(self, row: Row) -> None:
        self._rows[row.shard].append(row)
        self._after[row.shard] = row.pos

    def close_short(self, shards: Sequence[int], page: int) -> None:
        """A shard that gave less than a page has no more."""
        self.open -= {shard for shard in shards if len(self._rows[shard]) < page}

    def ready(self) -> Iterator[Row]:
        """Rows before which nothing can come any more."""
        soonest = [(rows[0].recorded_at, shard) for shard, rows in enumerate(self._rows) if rows]
        heapify(soonest)
        while soonest:
            _, shard = heappop(soonest)
            rows = self._rows[shard]
            yield rows.popleft()
            if rows:
                heappush(soonest, (rows[0].recorded_at, shard))
            elif shard in self.open:
                return


def _vector(positions: Vector) -> Vector:
    if len(positions) not in {0, SHARDS}:
        raise PositionsUnreadable(f"{len(positions)} positions are not {SHARDS}")
    return positions
