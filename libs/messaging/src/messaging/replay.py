"""A log applied to a generation that is being built: in large batches, under cursors of its own."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from messaging.cursor import (
    Batch,
    Cursor,
    Displaced,
    Gap,
    Place,
    Pool,
    Transaction,
    Verdict,
    advancing,
    load,
    shards_of,
    transaction,
)
from messaging.envelope import Envelope, Undecodable, envelope_of
from messaging.failpoint import hit
from messaging.generations import Generation
from messaging.kafka import connection
from messaging.status import register
from messaging.subject import StoreSilent, Subject
from messaging.trouble import passing, told

AT_ONCE = 4000
WAIT_MILLISECONDS = 200
HELD_BACK_MILLISECONDS = 100  # an answer without records, by the broker
SILENT_WAITS = 25

DISCARDED = """
SELECT convert_from(header_values[array_position(header_names, 'ce_id')], 'UTF8')
FROM consumer.discarded WHERE name = %s AND pos IS NOT NULL"""
SKIPPED = """
UPDATE consumer.generation SET skipped = skipped + %s WHERE name = %s AND number = %s"""

Vector: TypeAlias = Mapping[Place, int]


class CannotApply(Exception):
    """An event that this release cannot apply, and that nobody has discarded."""


class Replay:
    """Some partitions' share of a build. Crash-only: run again, it goes on at its cursors.

    A log is read from its topic, which costs its owner nothing; from the store where the topic
    holds another epoch too, or not what it should.
    """

    def __init__(
        self,
        pool: Pool,
        subject: Subject,
        target: Generation,
        partitions: Collection[TopicPartition],
        kafka: AIOKafkaConsumer,
        rate: int,
    ) -> None:
        self._pool, self._subject, self._target = pool, subject, target
        self._partitions, self._kafka, self._rate = partitions, kafka, rate
        self._cursors: dict[Place, Cursor] = {}
        self._discarded: frozenset[str] = frozenset()
        self._passed: set[TopicPartition] = set()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        pool: Pool,
        subject: Subject,
        target: Generation,
        partitions: Collection[TopicPartition],
        *,
        rate: int = 0,
    ) -> AsyncIterator["Replay"]:
        kafka = AIOKafkaConsumer(
            **connection(subject.kafka),
            enable_auto_commit=False,
            fetch_max_wait_ms=HELD_BACK_MILLISECONDS,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        try:
            await kafka.start()
            replay = cls(pool, subject, target, partitions, kafka, rate)
            await replay.begin()
            yield replay
        finally:
            await kafka.stop()

    async def begin(self) -> None:
        """At the cursors in the database; also again, when the last step was broken off."""
        async with self._pool.connection() as connection, connection.transaction():
            await register(connection, self._target.consumer)
            self._cursors = await load(connection, self._target.consumer, self._partitions)
            found = await connection.execute(DISCARDED, (self._target.name,))
            self._discarded = frozenset(event_id for (event_id,) in await found.fetchall())
        stored = {cursor.log for cursor in self._cursors.values() if cursor.unproven}
        published = [each for each in self._partitions if each.topic not in stored]
        self._passed.clear()
        self._kafka.assign(published)
        for partition in published:
            self._kafka.seek(partition, self._offset(partition) + 1)

    async def up_to(self, until: Vector) -> None:
        """Applies what is missing there, and nothing beyond."""
        for partition in self._passed:
            self._kafka.seek(partition, self._offset(partition) + 1)
        self._passed.clear()
        while behind := self._behind(until):
            found = await self._next(behind)
            if found:
                await self._take(found, until)
            else:
                for place in behind:
                    await self._read_store(place, until[place])

    def left(self, until: Vector) -> int:
        places = self._behind(until)
        return sum(until[place] - self._cursors[place].pos for place in places)

    def _behind(self, until: Vector) -> list[Place]:
        return [
            place for place, cursor in self._cursors.items() if cursor.pos < until.get(place, 0)
        ]

    async def _next(
        self, behind: Collection[Place]
    ) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        """Nothing, when only the store has it: the topics end before, or no broker answers."""
        partitions = {self._cursors[place].partition for place in behind}
        awaited = partitions & self._kafka.assignment()
        for _ in range(SILENT_WAITS if awaited else 0):
            found: Mapping[TopicPartition, Sequence[ConsumerRecord]] = await self._kafka.getmany(
                timeout_ms=WAIT_MILLISECONDS, max_records=AT_ONCE
            )
            if found or await self._ended(awaited):
                return found
        return {}

    async def _ended(self, partitions: Collection[TopicPartition]) -> bool:
        for partition in partitions:
            end = self._kafka.highwater(partition)
            if end is None or await self._kafka.position(partition) < end:
                return False
        return True

    async def _take(
        self, found: Mapping[TopicPartition, Sequence[ConsumerRecord]], until: Vector
    ) -> None:
        batch = Batch()
        for partition, records in found.items():
            for record in records:
                envelope = _ours(record)
                if envelope and not self._taken(batch, partition, envelope, record.offset, until):
                    break
        await self._apply(batch)
        for gap in batch.gaps:
            await self._read_store(gap.place, gap.to_pos)
            self._kafka.seek(gap.partition, self._offset(gap.partition) + 1)

    def _taken(
        self,
        batch: Batch,
        partition: TopicPartition,
        envelope: Envelope,
        offset: int,
        until: Vector,
    ) -> bool:
        """False at a gap. What is beyond is passed by: from there on, offsets prove nothing."""
        place = envelope.topic, envelope.shard
        if envelope.pos > until.get(place, 0):
            self._passed.add(partition)
            return True
        hint = None if partition in self._passed else offset
        verdict = batch.take(batch.at(place, self._cursors), envelope, hint)
        if verdict is Verdict.GAP:
            batch.gaps.append(Gap(partition, place, envelope.pos - 1))
        return verdict is not Verdict.GAP

    async def _read_store(self, place: Place, to_pos: int) -> None:
        batch, from_pos = Batch(), self._cursors[place].pos + 1
        async with aclosing(self._subject.backfill.read(*place, from_pos, to_pos)) as stored:  # type: ignore[type-var]  # async generators they are
            async for envelope in stored:
                if batch.take(batch.at(place, self._cursors), envelope) is Verdict.GAP:
                    raise StoreSilent(f"the store skipped to {envelope.pos}")
                if len(batch.steps) == AT_ONCE:
                    await self._apply(batch)
                    batch = Batch()
        await self._apply(batch)
        if self._cursors[place].pos < to_pos:
            raise StoreSilent(f"the store of {place} ends before {to_pos}")

    async def _apply(self, batch: Batch) -> None:
        try:
            await self._together(batch)
        except Exception as error:
            if isinstance(error, Displaced) or passing(error):
                raise
            await self._one_by_one(batch)
        await self._rest(len(batch.steps))

    async def _one_by_one(self, batch: Batch) -> None:
        for step in batch.steps:
            try:
                await self._together(Batch([step], {step.old.place: (step.old, step.new)}))
            except Exception as error:
                if isinstance(error, Displaced) or passing(error):
                    raise
                event = f"{step.envelope.type} {step.envelope.event_id}"
                raise CannotApply(f"{event}: {told(error)}") from error

    async def _together(self, batch: Batch) -> None:
        if not batch.moves:
            return
        moves, schema = batch.moves.values(), self._target.schema
        async with transaction(self._pool) as tx:
            async with advancing(tx, self._target.consumer, moves, schema):
                await self._project(tx, [step.envelope for step in batch.steps])
            await hit("rebuild.before_commit")
        await hit("rebuild.after_commit")
        self._cursors.update((place, new) for place, (_, new) in batch.moves.items())

    async def _project(self, tx: Transaction, envelopes: Sequence[Envelope]) -> None:
        projection = self._subject.projection
        wanted = [each for each in envelopes if each.event_id not in self._discarded]
        contents = [(envelope, projection.decode(envelope)) for envelope in wanted]
        known = [(envelope, content) for envelope, content in contents if content is not None]
        if known:
            await projection.apply(tx, known)
        if len(known) < len(contents):
            unknown = len(contents) - len(known)
            await tx.execute(SKIPPED, (unknown, self._target.name, self._target.number))

    async def _rest(self, events: int) -> None:
        if self._rate:
            await asyncio.sleep(events / self._rate)

    def _offset(self, partition: TopicPartition) -> int:
        places = ((partition.topic, shard) for shard in shards_of(partition))
        return max(self._cursors[place].kafka_offset for place in places)


def _ours(record: ConsumerRecord) -> Envelope | None:
    """None for what no relay published: it belongs to no stream, and consumers keep it apart."""
    try:
        return envelope_of(record)
    except Undecodable:
        return None
