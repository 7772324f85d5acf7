"""One Kafka reader for all who watch: each topic from its first watcher on, without a group."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from bayline.event.v1.event_log_service_pb2 import StoredEvent
from gateway import telemetry
from gateway.live import frames
from kernel.backoff import Backoff
from kernel.errors import Unavailable
from messaging.envelope import PARTITIONS, SHARDS, Envelope, envelope_of
from messaging.kafka import START_SECONDS, KafkaSettings, Pulse, connection, leave
from messaging.trouble import Spell
from transcoding.streams import Shared

WAITING = 2_000
FETCH_MS = 250
FOLLOW_SECONDS = 10.0

log = structlog.get_logger()


class LiveStreamBehind(Unavailable):
    """The reader is slower than the events; it goes on from its cursor when it comes back."""


class LiveTailUnavailable(Unavailable):
    """The broker does not answer, or events are missing from it: come back with the cursor."""


@dataclass(eq=False, slots=True)
class Happened:
    """An event as it is passed on; what is made of it is made once, however many watch.

    `passed[s]` is the last position of shard s that was passed on up to and with this event.
    `told` has its frame for each vector that a watcher stood at afterwards.
    """

    envelope: Envelope
    event: StoredEvent
    site: str
    passed: tuple[int, ...]
    told: dict[tuple[int, ...], Shared] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Watcher:
    """One reader's queue of a tenant's events of a topic. `broken` ends it."""

    topic: str
    tenant: str
    queue: asyncio.Queue[Happened] = field(default_factory=lambda: asyncio.Queue(WAITING))
    broken: Unavailable | None = None

    def wants(self, envelope: Envelope) -> bool:
        return self.topic == envelope.topic and self.tenant == envelope.tenant

    def offer(self, happened: Happened) -> None:
        try:
            self.queue.put_nowait(happened)
        except asyncio.QueueFull:
            self.end(LiveStreamBehind("you read more slowly than events happen"))

    def end(self, error: Unavailable) -> None:
        self.broken = error

    async def next(self, seconds: float) -> Happened | None:
        """The next event; nothing after so many seconds. Raises what broke the watcher."""
        if self.broken is not None:
            raise self.broken
        if not self.queue.empty():
            return self.queue.get_nowait()
        try:
            async with asyncio.timeout(seconds):
                return await self.queue.get()
        except TimeoutError:
            return None


class Hub:
    """Reads on and on. When the broker fails it goes on from the offsets it had reached.

    A topic that nobody ever watched is not read: each fetch costs the broker its partitions. A
    watcher gets every event published after it began. Within a shard positions have no holes;
    where one is met, every watcher is ended, and resumes from the store.
    """

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        self._settings = settings
        self._followed = {topic: asyncio.Event() for topic in topics}
        self._wanted: set[str] = set()
        self._asked = asyncio.Event()
        self._watchers: set[Watcher] = set()
        self._offsets: dict[TopicPartition, int] = {}
        self._passed = {topic: [0] * SHARDS for topic in topics}
        self._ready = asyncio.Event()
        self._tried = False
        self._silent = Spell("broker_silent", task="live tail")
        self._interrupted = Spell("live_tail_interrupted")
        self._stopping = asyncio.Event()
        for topic in topics:
            telemetry.malformed(topic, 0)  # so that the first one is seen as a rise

    @asynccontextmanager
    async def watching(self, topic: str, tenant: str) -> AsyncIterator[Watcher]:
        if not self._ready.is_set():
            raise LiveTailUnavailable("the live tail is not connected yet")
        await self._follow(topic)
        watcher = Watcher(topic, tenant)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def _follow(self, topic: str) -> None:
        """Returns once every later event of the topic will be read."""
        if topic not in self._followed:
            return
        self._wanted.add(topic)
        self._asked.set()
        try:
            async with asyncio.timeout(FOLLOW_SECONDS):
                await self._followed[topic].wait()
        except TimeoutError:
            raise LiveTailUnavailable("the broker does not answer the live tail now") from None

    async def check(self) -> str | None:
        """Not ready is who begins; a broker that is away keeps nobody from commands and reads."""
        return None if self._tried else "the live tail is not connected to the broker yet"

    @property
    def complaint(self) -> str:
        return "" if self._ready.is_set() else "the live tail is not connected to the broker"

    async def run(self) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                await self._read(backoff)
            except Exception as error:  # noqa: BLE001 -- whatever failed, the offsets stand: begin again
                self._tried = True
                self._interrupted.met(error)
                await _rest(self._stopping, backoff.next())

    async def stop(self) -> None:
        self._stopping.set()
        self._asked.set()
        for watcher in self._watchers:
            watcher.end(LiveTailUnavailable("the gateway is stopping"))

    async def _read(self, backoff: Backoff) -> None:
        consumer = AIOKafkaConsumer(
            **connection(self._settings), enable_auto_commit=False, auto_offset_reset="latest"
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await consumer.start()
            self._ready.set()
            self._tried = True
            async with Pulse(lambda: self._ask(consumer), self._silent) as pulse:
                await self._follow_wanted(consumer, pulse, backoff)
        finally:
            self._ready.clear()
            await leave(consumer)

    async def _follow_wanted(
        self, consumer: AIOKafkaConsumer, pulse: Pulse, backoff: Backoff
    ) -> None:
        reads: set[str] = set()
        while not self._stopping.is_set():
            pulse.check()
            if reads != self._wanted:
                reads = await self._turn_to(consumer, set(self._wanted))
            if reads:
                self._spread(await consumer.getmany(timeout_ms=FETCH_MS))
            else:
                await _rest(self._asked, FETCH_MS / 1000)
            backoff.reset()
            self._interrupted.calm()

    async def _ask(self, consumer: AIOKafkaConsumer) -> None:
        await consumer.end_offsets([TopicPartition(next(iter(self._followed)), 0)])

    async def _turn_to(self, consumer: AIOKafkaConsumer, topics: set[str]) -> set[str]:
        """To the end at first, then to where it was: the end is asked for, not left to chance."""
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)
        ]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, self._offsets.setdefault(partition, ends[partition]))
        for topic in topics:
            self._followed[topic].set()
        return topics

    def _spread(self, batches: dict[TopicPartition, list[object]]) -> None:
        for partition, records in batches.items():
            for record in records:
                self._take(partition, record)
                self._offsets[partition] = record.offset + 1  # type: ignore[attr-defined]  # aiokafka has no types

    def _take(self, partition: TopicPartition, record: Any) -> None:
        """What cannot be read is not passed on: who misses an event there resumes from the store."""
        try:
            self._pass_on(envelope_of(record))
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with one record, others wait behind it
            telemetry.malformed(partition.topic)
            log.error(  # noqa: TRY400 -- a traceback may quote the record
                "live_record_malformed",
                topic=partition.topic,
                partition=partition.partition,
                offset=record.offset,
                error=type(error).__name__,
            )

    def _pass_on(self, envelope: Envelope) -> None:
        passed = self._passed[envelope.topic]
        last = passed[envelope.shard]
        if envelope.pos <= last:
            return
        watchers = [each for each in self._watchers if each.wants(envelope)]
        happened = _happened(envelope, passed) if watchers else None
        passed[envelope.shard] = envelope.pos
        if last and envelope.pos > last + 1:
            self._end_all(envelope.topic)
        if happened is not None:
            for watcher in watchers:
                watcher.offer(happened)

    def _end_all(self, topic: str) -> None:
        for watcher in self._watchers:
            if watcher.topic == topic:
                watcher.end(
                    LiveTailUnavailable("events are missing from the topic: resume from the store")
                )


async def _rest(until: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()


def _happened(envelope: Envelope, passed: Sequence[int]) -> Happened:
    ahead = list(passed)
    ahead[envelope.shard] = envelope.pos
    site = frames.metadata_of(envelope.meta).site
    return Happened(envelope, frames.of_envelope(envelope), site, tuple(ahead))
