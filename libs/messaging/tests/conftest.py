import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest

from devstack.databases import Database
from messaging.consumer import Consumer
from messaging.cursor import Pool
from messaging.status import Status, register
from runtime.migrate import migrate
from testkit.seen import TABLE, Seen, a_pool
from testkit.servers import KafkaServer, NewDatabase
from testkit.topics import WrittenLog, eventually, topics


class Task(Protocol):
    async def run(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Shop:
    """One log, one database and one projection, all named for this test alone."""

    log: WrittenLog
    kafka: KafkaServer
    pool: Pool
    database: Database
    seen: Seen

    @property
    def name(self) -> str:
        return self.seen.name

    def consumer(self, **other: Any) -> Consumer:
        parts: dict[str, Any] = {"topics": [self.log.log], "projection": self.seen}
        parts |= {"name": self.name, "backfill": self.log}
        return Consumer(self.kafka, self.pool, **(parts | other))

    async def order_of(self, stream: UUID) -> list[int]:
        """The versions of a stream as they were applied."""
        query = "SELECT version FROM public.seen WHERE consumer = %s AND stream = %s ORDER BY nr"
        return [row[0] for row in await self.rows(query, self.name, str(stream))]

    async def applied(self) -> int:
        rows = await self.rows("SELECT count(*) FROM public.seen WHERE consumer = %s", self.name)
        return int(rows[0][0])

    async def has_applied(self, events: int) -> bool:
        return await self.applied() >= events

    async def has_parked(self, events: int) -> bool:
        query = "SELECT count(*) FROM consumer.parked WHERE name = %s"
        return int((await self.rows(query, self.name))[0][0]) == events

    async def status(self) -> Status:
        async with self.pool.connection() as connection:
            return await register(connection, self.name)

    async def is_halted(self) -> bool:
        return (await self.status()).halted

    async def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query.encode(), parameters)).fetchall()

    async def agrees_with_the_log(self) -> None:
        """Every event once, each stream in order, the cursors at the heads."""
        await eventually(lambda: self.has_applied(len(self.log.envelopes)))
        expected: dict[str, list[int]] = {}
        for envelope in self.log.envelopes:
            expected.setdefault(envelope.stream, []).append(envelope.version)
        found = {stream: await self.order_of(UUID(stream)) for stream in expected}
        assert found == expected
        heads = {(s, len(rows)) for s, rows in self.log.shards.items() if rows}
        cursors = await self.rows(
            "SELECT shard, pos FROM consumer.cursor WHERE name = %s AND pos > 0", self.name
        )
        assert set(cursors) == heads


@pytest.fixture(scope="session")
def consumer_database(database: NewDatabase) -> Database:
    return _prepared(database("workshop"))


def _prepared(made: Database) -> Database:
    """Once or again."""
    migrate(made.owner_dsn, "workshop", folders=["messaging/migrations"])
    with psycopg.connect(made.superuser_dsn, autocommit=True) as connection:
        if not connection.execute("SELECT to_regclass('public.seen')").fetchone()[0]:  # type: ignore[index]  # one row
            connection.execute(TABLE)
    return made


@pytest.fixture
async def shop(
    kafka_server: KafkaServer, consumer_database: Database, topic_prefix: str
) -> AsyncIterator[Shop]:
    async with _a_shop(kafka_server, consumer_database, topic_prefix) as opened:
        yield opened
    with psycopg.connect(consumer_database.superuser_dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM consumer.parked WHERE name = %s", (opened.name,))


@pytest.fixture
def shop_in(kafka_server: KafkaServer, topic_prefix: str) -> Any:
    """A shop in a database that the test brings along."""

    def open_shop(
        made: Database, kafka: KafkaServer = kafka_server
    ) -> AbstractAsyncContextManager[Shop]:
        return _a_shop(kafka, _prepared(made), topic_prefix)

    return open_shop


@asynccontextmanager
async def _a_shop(
    kafka_server: KafkaServer, made: Database, topic_prefix: str
) -> AsyncIterator[Shop]:
    log = WrittenLog(f"{topic_prefix}bayline.workshop.v1.JobEvent")
    seen = Seen(f"{topic_prefix}seen")
    async with topics(kafka_server, log.log), a_pool(made.projector_dsn) as pool:
        yield Shop(log, kafka_server, pool, made, seen)


def _running(*tasks: Task) -> AbstractAsyncContextManager[None]:
    return _run(tasks)


@asynccontextmanager
async def _run(tasks: Sequence[Task]) -> AsyncIterator[None]:
    """In the background; stopped, and whatever killed one is raised, at the end."""
    started = [asyncio.create_task(task.run()) for task in tasks]
    try:
        yield
    finally:
        for task in tasks:
            task.stop()
        async with asyncio.timeout(10):
            await asyncio.gather(*started)


@pytest.fixture
def running() -> Any:
    return _running
