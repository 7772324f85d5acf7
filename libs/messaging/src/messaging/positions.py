"""Waiting until a consumer has applied certain events: how one reads one's own writes."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from messaging.cursor import Pool

FIRST_SECONDS, MOST_SECONDS = 0.002, 0.01

BEHIND = """
SELECT EXISTS (
  SELECT FROM unnest(%s::text[], %s::smallint[], %s::bigint[]) w(log, shard, pos)
  WHERE NOT EXISTS (
    SELECT FROM consumer.cursor c
    WHERE c.name = %s AND c.log = w.log AND c.shard = w.shard AND c.pos >= w.pos))"""

_waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)


def announce(consumer: str) -> None:
    """The consumer has committed: whoever waits for it in this process looks again at once."""
    for event in _waiting.get(consumer, ()):
        event.set()


async def covered(
    pool: Pool, consumer: str, positions: Sequence[tuple[str, int, int]], deadline: float
) -> bool:
    """Waits for each (log, shard, pos) of logs that the consumer reads; False at the deadline.

    `deadline` is a time of the running loop.
    """
    loop = asyncio.get_running_loop()
    moved = asyncio.Event()
    _waiting[consumer].add(moved)
    rest = FIRST_SECONDS
    try:
        while await _behind(pool, consumer, positions):
            if loop.time() >= deadline:
                return False
            await _next(moved, rest)
            rest = min(MOST_SECONDS, rest * 2)
        return True
    finally:
        _waiting[consumer].discard(moved)
        if not _waiting[consumer]:
            del _waiting[consumer]


async def _behind(pool: Pool, consumer: str, positions: Sequence[tuple[str, int, int]]) -> bool:
    logs, shards, wanted = ([p[i] for p in positions] for i in range(3))
    async with pool.connection() as connection:
        found = await connection.execute(BEHIND, (logs, shards, wanted, consumer))
        return bool((await found.fetchone() or (True,))[0])


async def _next(moved: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await moved.wait()
    moved.clear()
