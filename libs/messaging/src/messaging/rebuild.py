"""A read model built anew beside live traffic: each step may be killed, and is then taken up again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from psycopg import errors

from messaging.cursor import Pool, Transaction, load
from messaging.envelope import SHARDS, Undecodable, envelope_of
from messaging.failpoint import hit
from messaging.generations import Generation, NotPossible, beside, compare, prepare
from messaging.kafka import first_records
from messaging.replay import Replay, Vector
from messaging.status import Status, register
from messaging.subject import Subject

FAR = 20_000  # events: worth the help of other processes
FEW = 2_000  # events: with so few left, the rest is done while the live generation is held
HELD_SECONDS = 0.3
JOINS = 50
BEAT_SECONDS = 1.0

CURSORS = "SELECT log, shard, pos FROM consumer.cursor WHERE name = %s ORDER BY log, shard"
HELD = CURSORS + " FOR UPDATE"
FROM_STORE = """
UPDATE consumer.cursor SET epoch = %s, unproven = true WHERE name = %s AND log = %s"""
DONE = "SELECT coalesce(sum(pos), 0)::bigint FROM consumer.cursor WHERE name = %s"
BEAT = """
UPDATE consumer.generation SET rate = %s, beat = clock_timestamp() WHERE name = %s AND number = %s"""
BUILT = """
UPDATE consumer.generation SET built_at = coalesce(built_at, clock_timestamp())
WHERE name = %s AND number = %s"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rebuild:
    """From nothing to a generation that follows and was compared, or that a halted consumer needs.

    `bulk` brings the build near an end: by itself, or with the help of other processes.
    """

    pool: Pool
    subject: Subject
    rate: int = 0
    bulk: Callable[[], Awaitable[None]] | None = None

    @property
    def name(self) -> str:
        return self.subject.projection.name

    async def run(self) -> Generation:
        """Goes on wherever the last attempt ended."""
        target = await beside(self.pool, self.name) or await self._prepared()
        if target.state == "building":
            await self._decide_sources(target)
            await self._build(target)
        if (await self._status()).halted:
            return await self._target()
        await compare(self.pool, self.name)
        await hit("rebuild.compared")
        return await self._target()

    async def _prepared(self) -> Generation:
        await prepare(self.pool, self.name)
        await hit("rebuild.prepared")
        return await self._target()

    async def _target(self) -> Generation:
        found = await beside(self.pool, self.name)
        if found is None:
            raise NotPossible(f"the new generation of {self.name} was dropped meanwhile")
        return found

    async def _build(self, target: Generation) -> None:
        beating = asyncio.create_task(self._beat(target))
        try:
            if self.bulk is not None and await self._far(target):
                await self.bulk()
            await self._finish(target)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
        await hit("rebuild.joined")

    async def _finish(self, target: Generation) -> None:
        partitions = self.subject.partitions()
        async with Replay.opened(
            self.pool, self.subject, target, partitions, rate=self.rate
        ) as replay:
            await replay.up_to(await self.end())
            if (await self._status()).halted:
                return await self._say_built(target)
            await hit("rebuild.before_join")
            for _ in range(JOINS):
                while replay.left(until := await self.end()) > FEW:
                    await replay.up_to(until)
                if await self._joined(replay, target):
                    return await self._say_built(target)
        raise NotPossible(f"{target.consumer} did not catch up: it was tried {JOINS} times")

    async def _joined(self, replay: Replay, target: Generation) -> bool:
        """The live generation is held meanwhile, not longer than its readers' patience."""
        try:
            async with (
                asyncio.timeout(HELD_SECONDS),
                self.pool.connection() as connection,
                connection.transaction(),
            ):
                await replay.up_to(await _cursors(connection, self.name, held=True))
                await connection.execute("SELECT consumer.join(%s)", (self.name,))
        except errors.RaiseException as error:
            raise NotPossible(error.diag.message_primary) from error
        except (TimeoutError, errors.ObjectNotInPrerequisiteState, errors.LockNotAvailable):
            await replay.begin()
            return False
        return True

    async def share(self, part: int, parts: int) -> None:
        """One process' part of the bulk."""
        target = await self._target()
        partitions = self.subject.partitions(part, parts)
        async with Replay.opened(
            self.pool, self.subject, target, partitions, rate=self.rate // parts
        ) as replay:
            await replay.up_to(await self.end())

    async def end(self) -> Vector:
        """Where the live generation stands; of a halted one, which stands nowhere, the store."""
        if (await self._status()).halted:
            return await self._heads()
        async with self.pool.connection() as connection:
            end = await _cursors(connection, self.name)
        if len(end) < SHARDS * len(self.subject.topics):
            raise NotPossible(f"{self.name} has never run: there is nothing to rebuild")
        return end

    async def _heads(self) -> Vector:
        backfill, topics = self.subject.backfill, self.subject.topics
        stored = {topic: (await backfill.heads(topic)).stored for topic in topics}
        return {(topic, n): pos for topic, heads in stored.items() for n, pos in enumerate(heads)}

    async def _status(self) -> Status:
        async with self.pool.connection() as connection:
            return await register(connection, self.name)

    async def _decide_sources(self, target: Generation) -> None:
        """A topic that holds another epoch than the store has is not read: the store is."""
        async with self.pool.connection() as connection, connection.transaction():
            await load(connection, target.consumer, self.subject.partitions())
        for topic in self.subject.topics:
            epoch = (await self.subject.backfill.heads(topic)).epoch
            if await self._epochs(topic) - {epoch}:
                log.info("rebuilt_from_store", projection=self.name, topic=topic)
                async with self.pool.connection() as connection:
                    await connection.execute(FROM_STORE, (epoch, target.consumer, topic))

    async def _epochs(self, topic: str) -> set[str]:
        """A new epoch shows behind an old one: the first record of each partition tells."""
        epochs = set()
        for record in await first_records(self.subject.kafka, topic):
            with suppress(Undecodable):
                epochs.add(envelope_of(record).epoch)
        return epochs

    async def _far(self, target: Generation) -> bool:
        return sum((await self.end()).values()) - await self._done(target) > FAR

    async def _done(self, target: Generation) -> int:
        async with self.pool.connection() as connection:
            row = await (await connection.execute(DONE, (target.consumer,))).fetchone()
        return int(row[0]) if row else 0

    async def _beat(self, target: Generation) -> None:
        done = await self._done(target)
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            before, done = done, await self._done(target)
            async with self.pool.connection() as connection:
                rate = max(0, done - before) / BEAT_SECONDS
                await connection.execute(BEAT, (rate, target.name, target.number))

    async def _say_built(self, target: Generation) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(BUILT, (target.name, target.number))


async def _cursors(tx: Transaction, name: str, *, held: bool = False) -> Vector:
    found = await tx.execute(HELD if held else CURSORS, (name,))
    return {(topic, shard): pos for topic, shard, pos in await found.fetchall()}
