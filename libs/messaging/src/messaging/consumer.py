"""From Kafka to a read model, each event exactly once in effect, whatever is killed and when."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime

import structlog
from aiokafka import (
    AIOKafkaConsumer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.errors import KafkaError

from kernel.backoff import Backoff
from kernel.clock import Clock, SystemClock
from messaging.cursor import (
    Batch,
    Cursor,
    Displaced,
    Diverged,
    Gap,
    Place,
    Pool,
    Verdict,
    load,
    prove,
    shards_of,
    sort,
)
from messaging.effects import Effects, Unparked
from messaging.envelope import Envelope
from messaging.kafka import START_SECONDS, KafkaSettings, Pulse, connection, leave
from messaging.parking import Projection
from messaging.retries import Retries
from messaging.standing import Standing
from messaging.status import halt, register
from messaging.subject import Backfill, StoreSilent, Subject
from messaging.telemetry import LAG, LAG_TIME, UNPUBLISHED, Covered
from messaging.trouble import PASSING, Spell, passing

POLL_MILLISECONDS = 200
HELD_MILLISECONDS = 25
SESSION_MILLISECONDS = 6_000  # the least a broker allows: so long a killed member is missed
REBALANCE_MILLISECONDS = 15_000  # what the batch at hand may take
MOST_RECORDS = 500
FROM_STORE_AT_ONCE = 500
HALTED_SECONDS = 1.0
GRACE_SECONDS = 15.0  # three reports
CLOSE_SECONDS = 3.0

log = structlog.get_logger()


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """One projection of one or more logs, in a Kafka group of its own.

    Kafka's offsets are hints. What counts is the cursor of each shard, moved in the transaction
    of the effect: a position is applied when it is the next, skipped when it is behind, and a gap
    is filled from the store. Any number of processes may run the same consumer. With `parks` false
    nothing is ever parked: what cannot be applied stops it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        pool: Pool,
        *,
        name: str,
        topics: Sequence[str],
        projection: Projection,
        backfill: Backfill,
        pace: float = 0.0,
        clock: Clock | None = None,
        parks: bool = True,
        most: int = MOST_RECORDS,
    ) -> None:
        """`pace`: seconds after a batch that was not full, where nobody waits for what comes of it."""
        self._settings, self._pool, self._name, self._topics = settings, pool, name, topics
        self._projection = projection
        self._clock = clock or SystemClock()
        self._effects = (Effects if parks else Unparked)(pool, name, projection, self._clock)
        self._retries = Retries(pool, name, projection)
        self._standing = Standing(pool, name)
        self._lag, self._covered = 0, Covered(self._clock, GRACE_SECONDS)
        self._silent = Spell("broker_silent", consumer=name)
        self._restarted = Spell("consumer_restarted", consumer=name)
        self._held_up = Spell("consumer_held_up", consumer=name)
        self._store_silent = Spell("store_silent", consumer=name)
        LAG.watch(name, self._records_behind)
        LAG_TIME.watch(name, self._seconds_behind)
        self._backfill, self._pace = backfill, pace
        self._stopped = asyncio.Event()
        self._working = asyncio.Lock()  # held while cursors move; a rebalance waits for it
        self._cursors: dict[Place, Cursor] = {}
        self._placed: set[TopicPartition] = set()
        self._held: dict[TopicPartition, float] = {}
        self._backoffs: dict[TopicPartition, Backoff] = {}
        self._most = self._most_ever = most
        self._newest: datetime | None = None
        for topic in topics:
            UNPUBLISHED.set(topic, 0)  # until something is parked

    @property
    def name(self) -> str:
        return self._name

    @property
    def subject(self) -> Subject:
        """What is projected, and from where."""
        return Subject(self._settings, self._topics, self._projection, self._backfill)

    @property
    def complaint(self) -> str:
        """Why it applies nothing though it runs; empty while it does."""
        if self._standing.halted:
            return f"halted: {self._standing.reason}"
        spells = (self._silent, self._restarted, self._held_up, self._store_silent)
        return "; ".join(spell.complaint for spell in spells if spell.complaint)

    def stop(self) -> None:
        """Ends `run` after the batch at hand."""
        self._stopped.set()

    async def run(self) -> None:
        """Until stopped. Trouble with Kafka or the database is waited out; a bug comes out."""
        beside = [asyncio.create_task(each.run()) for each in (self._retries, self._standing)]
        try:
            await self._consume()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside, timeout=CLOSE_SECONDS)

    async def _consume(self) -> None:
        backoff = Backoff()
        while not self._stopped.is_set():
            try:
                async with self._joined() as kafka, self._pulse(kafka) as pulse:
                    while not self._stopped.is_set():
                        pulse.check()
                        count = await self._turn(kafka)
                        if self._placed:
                            backoff.reset()
                            self._restarted.calm()
                        if self._pace and count < self._most:
                            await self._rest(self._pace)
            except (KafkaError, TimeoutError) as error:
                self._restarted.met(error)
                await self._rest(backoff.next())

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        async with self._working:
            self._placed.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Each is placed at its cursor before any record of it counts, in the next turn."""
        self._placed.clear()
        self._held.clear()
        self._backoffs.clear()

    @asynccontextmanager
    async def _joined(self) -> AsyncIterator[AIOKafkaConsumer]:
        kafka = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=self._name,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 * 1024 * 1024,
            session_timeout_ms=SESSION_MILLISECONDS,
            heartbeat_interval_ms=SESSION_MILLISECONDS // 3,
            rebalance_timeout_ms=REBALANCE_MILLISECONDS,
        )
        kafka.subscribe(list(self._topics), listener=self)
        try:
            async with asyncio.timeout(START_SECONDS):
                await kafka.start()
            yield kafka
        finally:
            self._placed.clear()
            await leave(kafka)

    def _pulse(self, kafka: AIOKafkaConsumer) -> Pulse:
        return Pulse(lambda: self._report(kafka), self._silent)

    async def _turn(self, kafka: AIOKafkaConsumer) -> int:
        """Returns how many records there were."""
        async with self._recovering(kafka):
            await self._place(kafka)
        pause = POLL_MILLISECONDS if self._placed >= kafka.assignment() else HELD_MILLISECONDS
        found = await kafka.getmany(timeout_ms=pause, max_records=self._most)
        async with self._recovering(kafka):
            await self._work(kafka, found)
        return sum(map(len, found.values()))

    @asynccontextmanager
    async def _recovering(self, kafka: AIOKafkaConsumer) -> AsyncIterator[None]:
        """Whatever went wrong: the partitions rest, and begin again at the cursors in the database.

        Polling goes on meanwhile, so that the group keeps this member.
        """
        async with self._working:
            try:
                yield
            except Diverged as why:
                await self._halt(kafka, why)
            except Exception as error:
                if not (isinstance(error, Displaced) or passing(error)):
                    raise
                self._held_up.met(error)
                self._most = max(1, self._most // 4)
                self._hold(kafka, kafka.assignment())

    async def _place(self, kafka: AIOKafkaConsumer) -> None:
        now = time.monotonic()
        ready = [p for p in kafka.assignment() - self._placed if self._held.get(p, 0.0) <= now]
        if not ready:
            return
        async with self._pool.connection() as connection, connection.transaction():
            status = await register(connection, self._name)
            cursors = await load(connection, self._name, ready)
        self._cursors.update(cursors)
        self._effects.placed()
        if status.halted:
            self._hold(kafka, ready, HALTED_SECONDS)
            return
        doubted = {cursor.partition for cursor in cursors.values() if cursor.unproven}
        ends = await kafka.end_offsets(doubted) if doubted else {}
        for partition in ready:
            await self._begin(kafka, partition, ends.get(partition))

    async def _begin(
        self, kafka: AIOKafkaConsumer, partition: TopicPartition, end: int | None
    ) -> None:
        try:
            if end is not None:
                await self._prove(partition, end)
        except StoreSilent as error:
            self._wait_for_store(kafka, partition, str(error))
        else:
            kafka.seek(partition, self._offset(partition) + 1)
            kafka.resume(partition)
            self._placed.add(partition)

    async def _work(
        self, kafka: AIOKafkaConsumer, found: Mapping[TopicPartition, Sequence[ConsumerRecord]]
    ) -> None:
        placed = {p: records for p, records in found.items() if p in self._placed}
        batch = sort(placed, self._cursors)
        await self._apply(batch)
        if self._placed >= kafka.assignment():
            self._held_up.calm()
            self._store_silent.calm()
        for gap in batch.gaps:
            await self._fill(kafka, gap)
        if batch.diverged:
            raise batch.diverged

    async def _apply(self, batch: Batch) -> None:
        await self._effects.apply(batch)
        for place, (_, new) in batch.moves.items():
            self._cursors[place] = new
            self._backoffs.pop(new.partition, None)
        if batch.steps:
            self._most = min(self._most_ever, self._most * 2)
            self._newest = batch.steps[-1].envelope.recorded_at

    async def _fill(self, kafka: AIOKafkaConsumer, gap: Gap) -> None:
        """The partition is read again from its cursor afterwards, so the gap's far side comes back."""
        from_pos = self._cursors[gap.place].pos + 1
        self._hold(kafka, [gap.partition], 0.0)
        try:
            read = await self._read_store(gap.place, from_pos, gap.to_pos)
        except StoreSilent as error:
            self._wait_for_store(kafka, gap.partition, str(error))
        else:
            if not read:
                self._wait_for_store(kafka, gap.partition, "it has not what the topic has")
            else:
                log.warning("gap_filled", consumer=self._name, place=gap.place, from_pos=from_pos)

    async def _prove(self, partition: TopicPartition, end: int) -> None:
        """After a halt the store is read from each cursor to its end, and the topic from `end`."""
        for cursor in self._of(partition):
            read = await self._read_store(cursor.place, max(cursor.pos, 1), 0)
            if cursor.pos and not read:
                reason = f"the store of {cursor.log} ends before {cursor.shard}/{cursor.pos}"
                raise Diverged(reason, log=cursor.log, epoch=cursor.epoch)
        async with self._pool.connection() as connection, connection.transaction():
            await prove(connection, self._name, partition, end)
            self._cursors.update(await load(connection, self._name, [partition]))

    async def _read_store(self, place: Place, from_pos: int, to_pos: int) -> int:
        """Applies what the store holds there; returns how many events it showed."""
        read, batch = 0, Batch()
        async with aclosing(_answered(self._backfill.read(*place, from_pos, to_pos))) as stored:
            async for envelope in stored:
                if batch.take(batch.at(place, self._cursors), envelope) is Verdict.GAP:
                    raise StoreSilent(f"the store skipped to {envelope.pos}")
                read += 1
                if len(batch.steps) == FROM_STORE_AT_ONCE:
                    await self._apply(batch)
                    batch = Batch()
                    if self._stopped.is_set():
                        raise StoreSilent("stopped while reading")
        await self._apply(batch)
        return read

    async def _halt(self, kafka: AIOKafkaConsumer, why: Diverged) -> None:
        with suppress(*PASSING):  # met again at the same cursor, if it could not be written
            if await halt(self._pool, self._name, why):
                log.error(
                    "consumer_halted", consumer=self._name, reason=why.reason, epoch=why.epoch
                )
        self._hold(kafka, kafka.assignment())

    def _wait_for_store(
        self, kafka: AIOKafkaConsumer, partition: TopicPartition, reason: str
    ) -> None:
        self._store_silent.met(reason)
        self._hold(kafka, [partition])

    def _hold(
        self,
        kafka: AIOKafkaConsumer,
        partitions: Collection[TopicPartition],
        seconds: float | None = None,
    ) -> None:
        now, assigned = time.monotonic(), kafka.assignment()
        for partition in partitions:
            self._placed.discard(partition)
            backoff = self._backoffs.setdefault(partition, Backoff())
            self._held[partition] = now + (backoff.next() if seconds is None else seconds)
            if partition in assigned:
                kafka.pause(partition)

    def _of(self, partition: TopicPartition) -> list[Cursor]:
        places = ((partition.topic, shard) for shard in shards_of(partition))
        return [self._cursors[place] for place in places if place in self._cursors]

    def _offset(self, partition: TopicPartition) -> int:
        """All records up to this one are behind the cursors: a batch moves its shards together."""
        return max((cursor.kafka_offset for cursor in self._of(partition)), default=-1)

    async def _report(self, kafka: AIOKafkaConsumer) -> None:
        """Lag, and Kafka's own idea of it. Beside the work: Kafka answers behind a waiting fetch.

        Who has no partition asks all the same: an answer is what says that there is nothing.
        """
        done = {partition: self._offset(partition) + 1 for partition in kafka.assignment()}
        ends = await kafka.end_offsets(list(done) or [TopicPartition(self._topics[0], 0)])
        self._measure(sum(max(0, ends[p] - offset) for p, offset in done.items()))
        if done:
            with suppress(KafkaError):  # a rebalance, say; the next report tells it
                await kafka.commit(done)

    def _measure(self, lag: int) -> None:
        self._lag = lag
        if self._records_behind():
            self._covered.up_to(self._newest or self._standing.moved_at)
        else:
            self._covered.wholly()

    def _records_behind(self) -> int:
        """One that is halted has at least what it halted at before it, whatever offsets say."""
        return max(self._lag, int(self._standing.halted))

    def _seconds_behind(self) -> float:
        return self._covered.age()


async def _answered(stored: AsyncIterator[Envelope]) -> AsyncGenerator[Envelope, None]:
    try:
        async for envelope in stored:
            yield envelope
    except Exception as error:
        raise StoreSilent(repr(error)) from error
