"""From `parked`, which is the truth, to `<topic>.dlq`, which others can watch; at least once."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaProducer

from messaging.backoff import Backoff
from messaging.cursor import Pool
from messaging.kafka import KafkaSettings, producer
from messaging.parking import Parked, rows_of

IDLE_SECONDS = 1.0
AT_ONCE = 100

UNRELAYED = """
SELECT * FROM consumer.parked WHERE relayed_at IS NULL
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"""
RELAYED = "UPDATE consumer.parked SET relayed_at = clock_timestamp() WHERE id = ANY(%s)"

log = structlog.get_logger()


def dlq_of(topic: str) -> str:
    return f"{topic}.dlq"


class DlqRelay:
    """Publishes what the consumers of one database parked, as it came, with who parked it and why."""

    def __init__(self, pool: Pool, settings: KafkaSettings) -> None:
        self._pool, self._settings = pool, settings
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        """A producer lives only while there is something to publish."""
        backoff = Backoff()
        while not self._stopped.is_set():
            try:
                relayed = await self._relay()
                backoff.reset()
            except Exception as error:  # noqa: BLE001 -- crash-only: whatever it was, try again
                log.warning("dlq_relay_restarted", error=repr(error))
                await self._rest(backoff.next())
                continue
            if relayed < AT_ONCE:
                await self._rest(IDLE_SECONDS)

    async def _relay(self) -> int:
        async with self._pool.connection() as connection, connection.transaction():
            parked = await rows_of(connection, UNRELAYED, (AT_ONCE,))
            if not parked:
                return 0
            async with producer(self._settings) as kafka:
                await _publish(kafka, parked)
            await connection.execute(RELAYED, ([each.id for each in parked],))
            return len(parked)

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
