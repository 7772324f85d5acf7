"""A projection that writes down what it was given; `python -m testkit.seen` is a process to kill.

The process relays one log to Kafka and projects it from there, until SIGTERM.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from assembly.logs import OwnLog
from eventstore.reading import LogReader
from eventstore.tail import PostgresTail
from kernel.errors import Outdated
from messaging.consumer import Consumer
from messaging.cursor import Pool, Transaction
from messaging.envelope import Envelope, Undecodable
from messaging.kafka import KafkaPublisher
from messaging.relay import Relay

LIMITS = "-c lock_timeout=500ms -c statement_timeout=2s"
TABLE = """
CREATE TABLE public.seen (
  consumer text, nr bigint GENERATED ALWAYS AS IDENTITY, event_id uuid, stream text, version int,
  PRIMARY KEY (consumer, event_id));
GRANT ALL ON public.seen TO workshop_projector"""


@dataclass
class Seen:
    """An event applied a second time would break its primary key. Some events are ill."""

    name: str
    healed: bool = False
    failures: list[Exception] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def decode(self, envelope: Envelope) -> object | None:
        if envelope.data == b"undecodable" and not self.healed:
            raise Undecodable("no such message")
        return None if envelope.data == b"unknown" else envelope.data

    async def apply(self, tx: Transaction, batch: Sequence[tuple[Envelope, object]]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        for envelope, content in batch:
            if content == b"bug" and not self.healed:
                raise ZeroDivisionError("a bug of the handler")
            if content == b"newer" and not self.healed:
                raise Outdated("what it is about was written to by a newer release")
            await tx.execute(
                "INSERT INTO public.seen VALUES (%s, DEFAULT, %s, %s, %s)",
                (self.name, envelope.event_id, envelope.stream, envelope.version),
            )
        self.batches.append(len(batch))


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SEEN_")
    log: str
    name: str
    bootstrap: str
    user: str = ""
    password: SecretStr = SecretStr("")
    relay_dsn: str
    projector_dsn: str


@asynccontextmanager
async def a_pool(dsn: str, size: int = 4) -> AsyncIterator[Pool]:
    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        dsn, min_size=1, max_size=size, open=False, kwargs={"autocommit": True, "options": LIMITS}
    )
    async with pool:
        yield pool


async def main(settings: Settings) -> None:
    async with a_pool(settings.relay_dsn) as relaying, a_pool(settings.projector_dsn) as projecting:
        relay = Relay(PostgresTail(relaying, settings.log), KafkaPublisher(settings))
        consumer = Consumer(
            settings,
            projecting,
            name=settings.name,
            topics=[settings.log],
            projection=Seen(settings.name),
            backfill=OwnLog(LogReader(relaying)),
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _stop, relay, consumer)
        await asyncio.gather(relay.run(), consumer.run())


def _stop(relay: Relay[Any], consumer: Consumer) -> None:
    relay.stop()
    consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(Settings()))
