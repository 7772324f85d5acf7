"""Kafka's clients as Bayline configures them, and the port to what publishes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, Self, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from messaging.envelope import PARTITIONS, Envelope, Undecodable, envelope_of, headers_of
from messaging.failpoint import hit
from messaging.telemetry import publishing
from messaging.trouble import Spell

CLOSE_SECONDS = 3.0
START_SECONDS = 45.0  # a group may have to wait for its members
BEAT_SECONDS = 5.0
SILENT_SECONDS = 20.0
PUBLISH_SECONDS = 30.0
ACKNOWLEDGE_MILLISECONDS = 10_000
POLL_MILLISECONDS = 200
LAST_OF_EACH = 16
MECHANISM = "SCRAM-SHA-512"

Publish: TypeAlias = Callable[[Sequence[Envelope]], Awaitable[None]]


class Secret(Protocol):
    def get_secret_value(self) -> str: ...


class KafkaSettings(Protocol):
    """Where the brokers are, and as whom one speaks to them: nobody, where `user` is empty."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> Secret: ...


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """What each of aiokafka's clients is given to connect."""
    where = {"bootstrap_servers": settings.bootstrap}
    if not settings.user:
        return where
    return where | {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": MECHANISM,
        "sasl_plain_username": settings.user,
        "sasl_plain_password": settings.password.get_secret_value(),
    }


class BrokerSilent(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """Nothing was heard of the broker for so long that one had better begin anew."""


class Pulse:
    """Whether the broker answers, asked beside the work: aiokafka waits for it without a word."""

    def __init__(self, ask: Callable[[], Awaitable[object]], spell: Spell) -> None:
        self._ask, self._spell = ask, spell
        self._heard = time.monotonic()
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._beating is not None
        self._beating.cancel()
        await asyncio.wait([self._beating], timeout=CLOSE_SECONDS)

    def check(self) -> None:
        """Raises `BrokerSilent`, or what else asking has died of."""
        if self._beating is not None and self._beating.done():
            self._beating.result()
        if time.monotonic() - self._heard > SILENT_SECONDS:
            raise BrokerSilent(f"nothing was heard for {SILENT_SECONDS:.0f} s")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._ask()
            except (KafkaError, TimeoutError) as error:
                self._spell.met(error)
            else:
                self._heard = time.monotonic()
                self._spell.calm()


async def leave(kafka: AIOKafkaConsumer) -> None:
    """Stops it, however that goes.

    What `stop` awaits may have been cancelled by itself; in a task of its own that is not taken
    for a cancellation of ours. What it then leaves open, connections and their task, is closed.
    """
    stopping = asyncio.create_task(kafka.stop())
    await asyncio.wait([stopping], timeout=CLOSE_SECONDS)
    if not stopping.done() or stopping.cancelled() or stopping.exception():
        stopping.cancel()
        await kafka._client.close()  # noqa: SLF001 -- as below


class Publisher(Protocol):
    def session(self) -> AbstractAsyncContextManager[Publish]:
        """A producer of its own. What it published is acknowledged when `publish` returns.

        After an error the session must be left: nothing of it may arrive any more once it is.
        """
        ...

    async def last(self, topic: str) -> Sequence[Envelope]:
        """The newest events of every partition, as far as they are ours."""
        ...


class KafkaPublisher:
    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Publish]:
        async with producer(self._settings) as kafka:

            async def publish(envelopes: Sequence[Envelope]) -> None:
                await _publish(kafka, envelopes)

            yield publish

    async def last(self, topic: str) -> Sequence[Envelope]:
        records = await last_records(self._settings, topic, LAST_OF_EACH)
        return [envelope for record in records for envelope in _ours(record)]


@asynccontextmanager
async def producer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """Idempotent, acknowledged by all in-sync replicas, and really gone when left."""
    kafka = AIOKafkaProducer(
        **connection(settings),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,  # measured: 5 ms cost an event 5 ms and batched nothing; zstd cost CPU, not time
        max_batch_size=256 * 1024,
        request_timeout_ms=ACKNOWLEDGE_MILLISECONDS,
    )
    try:
        await kafka.start()
        yield kafka
    finally:
        await _close(kafka)


async def _close(kafka: AIOKafkaProducer) -> None:
    """`stop` waits for what is unsent; when that does not end, the sender itself is stopped."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await kafka.stop()
    except TimeoutError:
        await kafka._sender.close()  # noqa: SLF001 -- aiokafka has no other way to give up
        await kafka.client.close()


async def _publish(kafka: AIOKafkaProducer, envelopes: Sequence[Envelope]) -> None:
    with publishing(envelopes):
        async with asyncio.timeout(PUBLISH_SECONDS):  # an idempotent producer tries for ever
            await _publish_all(kafka, envelopes)


async def _publish_all(kafka: AIOKafkaProducer, envelopes: Sequence[Envelope]) -> None:
    half = len(envelopes) // 2
    sent = [await _send(kafka, envelope) for envelope in envelopes[:half]]
    await hit("relay.mid_produce")
    sent += [await _send(kafka, envelope) for envelope in envelopes[half:]]
    await asyncio.gather(*sent)


async def _send(kafka: AIOKafkaProducer, envelope: Envelope) -> Awaitable[object]:
    acknowledged: Awaitable[object] = await kafka.send(
        envelope.topic,
        envelope.data,
        key=envelope.key.encode(),
        partition=envelope.partition,
        timestamp_ms=int(envelope.recorded_at.timestamp() * 1000),
        headers=headers_of(envelope),
    )
    return acknowledged


def _ours(record: ConsumerRecord) -> list[Envelope]:
    try:
        return [envelope_of(record)]
    except Undecodable:
        return []


async def last_records(settings: KafkaSettings, topic: str, each: int) -> list[ConsumerRecord]:
    """The last `each` records of every partition, as they stand now."""
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    kafka = AIOKafkaConsumer(**connection(settings), enable_auto_commit=False)
    try:
        await kafka.start()
        kafka.assign(partitions)
        starts = await kafka.beginning_offsets(partitions)
        ends = await kafka.end_offsets(partitions)
        for partition, end in ends.items():
            kafka.seek(partition, max(starts[partition], end - each))
        return [record async for record in _until(kafka, ends)]
    finally:
        await leave(kafka)


async def first_records(settings: KafkaSettings, topic: str) -> list[ConsumerRecord]:
    """The first record of each partition that has one."""
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    kafka = AIOKafkaConsumer(**connection(settings), enable_auto_commit=False)
    try:
        await kafka.start()
        starts = await kafka.beginning_offsets(partitions)
        ends = await kafka.end_offsets(partitions)
        filled = [partition for partition in partitions if starts[partition] < ends[partition]]
        kafka.assign(filled)
        for partition in filled:
            kafka.seek(partition, starts[partition])
        return [await kafka.getone(partition) for partition in filled]
    finally:
        await leave(kafka)


async def _until(
    kafka: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord]:
    while [p for p, end in ends.items() if await kafka.position(p) < end]:
        for records in (await kafka.getmany(timeout_ms=POLL_MILLISECONDS)).values():
            for record in records:
                yield record
