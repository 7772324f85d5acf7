"""From `parked`, which is the truth, to `<topic>.dlq`, which others can watch; at least once."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaProducer

from kernel.backoff import Backoff
from messaging.cursor import Pool
from messaging.kafka import PUBLISH_SECONDS, KafkaSettings, producer
from messaging.parking import Parked, rows_of
from messaging.telemetry import UNPUBLISHED
from messaging.trouble import Spell

IDLE_SECONDS = 1.0
AT_ONCE = 100

WAITING = """
SELECT log, count(*) FROM consumer.parked WHERE relayed_at IS NULL GROUP BY log ORDER BY log"""
UNRELAYED = """
SELECT * FROM consumer.parked WHERE log = %s AND relayed_at IS NULL
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"""
RELAYED = "UPDATE consumer.parked SET relayed_at = clock_timestamp() WHERE id = ANY(%s)"

log = structlog.get_logger()


class NoSuchTopic(Exception):
    """Dead letters have a topic of their own, which is not there, or not for us."""


def dlq_of(topic: str) -> str:
    return f"{topic}.dlq"


class DlqRelay:
    """Publishes what the consumers of one database parked, as it came, with who parked it and why.

    Each topic by itself: one that takes nothing holds up no other.
    """

    def __init__(self, pool: Pool, settings: KafkaSettings) -> None:
        self._pool, self._settings = pool, settings
        self._stopped = asyncio.Event()
        self._named: set[str] = set()
        self._failing: set[str] = set()
        self._trouble = Spell("dlq_relay_restarted")

    @property
    def complaint(self) -> str:
        return self._trouble.complaint

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        """A producer lives only while there is something to publish."""
        backoff = Backoff()
        while not self._stopped.is_set():
            try:
                waiting = await self._waiting()
                relayed = await self._relay(waiting) if waiting else 0
            except Exception as error:  # noqa: BLE001 -- crash-only: whatever it was, try again
                self._trouble.met(error)
                await self._rest(backoff.next())
                continue
            self._trouble.calm()
            if self._failing:
                await self._rest(backoff.next())
            elif relayed < AT_ONCE:
                backoff.reset()
                await self._rest(IDLE_SECONDS)

    async def _waiting(self) -> Mapping[str, int]:
        async with self._pool.connection() as connection:
            found = await (await connection.execute(WAITING)).fetchall()
        waiting = {topic: int(events) for topic, events in found}
        self._report(dict.fromkeys(self._named, 0) | waiting)
        self._failing &= set(waiting)
        return waiting

    async def _relay(self, waiting: Mapping[str, int]) -> int:
        """Those that failed come last: what they do to the producer harms no other."""
        relayed = 0
        async with producer(self._settings) as kafka:
            there = (await kafka.client.fetch_all_metadata()).topics()
            for topic in sorted(waiting, key=lambda each: (each in self._failing, each)):
                try:
                    relayed += await self._relay_one(kafka, topic, there)
                except Exception as error:  # noqa: BLE001 -- its own trouble: the others go on
                    if topic not in self._failing:
                        log.error("dead_letters_wait", topic=dlq_of(topic), error=repr(error))  # noqa: TRY400 -- same, by keyword
                    self._failing.add(topic)
                else:
                    self._failing.discard(topic)
        return relayed

    async def _relay_one(self, kafka: AIOKafkaProducer, topic: str, there: Collection[str]) -> int:
        if dlq_of(topic) not in there:
            raise NoSuchTopic(dlq_of(topic))
        async with self._pool.connection() as connection, connection.transaction():
            parked = await rows_of(connection, UNRELAYED, (topic, AT_ONCE))
            async with asyncio.timeout(PUBLISH_SECONDS):
                await _publish(kafka, parked)
            await connection.execute(RELAYED, ([each.id for each in parked],))
            return len(parked)

    def _report(self, waiting: Mapping[str, int]) -> None:
        self._named |= set(waiting)
        for topic, events in waiting.items():
            UNPUBLISHED.set(topic, events)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()


async def _publish(kafka: AIOKafkaProducer, parked: Sequence[Parked]) -> None:
    sent = [
        await kafka.send(
            dlq_of(each.topic),
            each.value,
            key=each.key,
            partition=each.partition,
            headers=[
                *each.headers,
                ("bayline-consumer", each.name.encode()),
                ("bayline-error", each.error.encode()),
            ],
        )
        for each in parked
    ]
    await asyncio.gather(*sent)
