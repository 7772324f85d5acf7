"""Retries that a person asks for in the database, done by the process that has the projection."""

import asyncio
from dataclasses import dataclass

import structlog

from kernel.backoff import Backoff
from messaging.cursor import Pool
from messaging.parking import Projection, Retried, retry
from messaging.trouble import Spell

IDLE_SECONDS = 1.0

ASK = "INSERT INTO consumer.retry (name, asked_by) VALUES (%s, %s) RETURNING id"
ASKED = "SELECT id FROM consumer.retry WHERE name = %s AND done_at IS NULL"
DONE = """
UPDATE consumer.retry SET applied = applied + %s, failed = %s, done_at = clock_timestamp()
WHERE id = ANY(%s)"""
ANSWER = "SELECT applied, failed FROM consumer.retry WHERE id = %s AND done_at IS NOT NULL"

log = structlog.get_logger()


async def ask(pool: Pool, name: str, *, who: str) -> int:
    """The number under which `answer` tells what became of it."""
    async with pool.connection() as connection:
        row = await (await connection.execute(ASK, (name, who))).fetchone()
    if row is None:
        raise LookupError(name)
    return int(row[0])


async def answer(pool: Pool, number: int) -> Retried | None:
    """None while no consumer has done it."""
    async with pool.connection() as connection:
        row = await (await connection.execute(ANSWER, (number,))).fetchone()
    return None if row is None else Retried(*row)


@dataclass(frozen=True, slots=True)
class Retries:
    """Drains what one consumer parked, when asked. Beside the consumer: each event has its lock."""

    pool: Pool
    name: str
    projection: Projection

    async def run(self) -> None:
        """Until cancelled, which loses nothing: what is not answered is done by the next process."""
        backoff, trouble = Backoff(), Spell("retry_held_up", consumer=self.name)
        while True:
            pause = IDLE_SECONDS
            try:
                await self._turn()
                backoff.reset()
                trouble.calm()
            except Exception as error:  # noqa: BLE001 -- crash-only: whatever it was, try again
                trouble.met(error)
                pause = backoff.next()
            await asyncio.sleep(pause)

    async def _turn(self) -> None:
        async with self.pool.connection() as connection:
            asked = await (await connection.execute(ASKED, (self.name,))).fetchall()
        if not asked:
            return
        done = await retry(self.pool, self.name, self.projection)
        log.info("parked_retried", consumer=self.name, applied=done.applied, failed=done.failed)
        numbers = [number for (number,) in asked]
        async with self.pool.connection() as connection:
            await connection.execute(DONE, (done.applied, done.failed, numbers))
