import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection

from devstack import databases
from devstack.databases import Database
from kernel.ids import Uuid7
from messaging.envelope import envelope_of
from runtime.migrate import migrate
from testkit.seen import TABLE, Settings
from testkit.servers import PASSWORDS, KafkaServer, NewDatabase, own_postgres
from testkit.topics import eventually, everything_in, topics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

POINTS = [
    "relay.before_fetch",
    "relay.after_fetch",
    "relay.mid_produce",
    "relay.after_acks",
    "relay.after_checkpoint",
    "consumer.before_commit",
    "consumer.after_commit",
]
APPEND = """
SELECT * FROM es.append(%s, 'acme', %s, %s, %s, 'fp', ARRAY[gen_random_uuid()], ARRAY['Happened'],
  ARRAY[now()], ARRAY[%s], ARRAY[''::bytea], '{}', '{}', '{}', '{}')"""
STORED = "SELECT shard, pos, stream::text, ver, data FROM es.event WHERE log = %s ORDER BY 1, 2"
SEEN = "SELECT stream, version FROM public.seen WHERE consumer = %s ORDER BY nr"
JOBS = [UUID(int=number) for number in range(24)]

Stored: TypeAlias = list[tuple[int, int, str, int, bytes]]


@dataclass
class Shop:
    """A real store, relayed and projected by processes of their own."""

    settings: Settings
    database: Database
    kafka: KafkaServer

    async def write(self, rounds: int) -> None:
        """Each job by a writer of its own, all at once."""
        await asyncio.gather(*(self._write(job, rounds) for job in JOBS))

    async def _write(self, job: UUID, rounds: int) -> None:
        query = "SELECT coalesce(max(ver), 0) FROM es.event WHERE stream = %s"
        ((version,),) = await self.rows(query, job)
        for step in range(rounds):
            key, data = str(Uuid7().new()), os.urandom(300)
            await self._append(job, version + step, key, data)

    async def _append(self, job: UUID, version: int, key: str, data: bytes) -> None:
        """With the same key until the outcome is known."""
        async with asyncio.timeout(60):
            while True:
                with suppress(psycopg.OperationalError):
                    await self.rows(APPEND, self.settings.log, job, version, key, data)
                    return
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def hold_open(self) -> AsyncIterator[None]:
        """An append that does not commit, while others do."""
        dsn = self.database.superuser_dsn
        async with await AsyncConnection.connect(dsn) as connection:
            slow = (self.settings.log, UUID(int=999), 0, "slow", b"slow")
            await connection.execute(APPEND, slow)
            yield

    async def start(self, failpoint: str = "") -> Process:
        fields = self.settings.model_dump(exclude={"password"}).items()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "testkit.failpoints", "testkit.seen"),
            env={f"SEEN_{name.upper()}": value for name, value in fields}
            | {"BAYLINE_FAILPOINT": failpoint},
        )

    async def rows(self, query: str, *parameters: object) -> list[Any]:
        dsn = self.database.superuser_dsn
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            return await (await connection.execute(query.encode(), parameters)).fetchall()

    async def has_stored(self, events: int) -> bool:
        return len(await self.rows(STORED, self.settings.log)) >= events

    async def has_seen(self, events: int) -> bool:
        return len(await self.rows(SEEN, self.settings.name)) >= events

    async def is_drained(self) -> bool:
        return await self.has_seen(len(await self.rows(STORED, self.settings.log)))

    async def holds(self) -> None:
        """Kafka and the read model agree with the store, event by event."""
        await eventually(self.is_drained, within=60)
        stored: Stored = await self.rows(STORED, self.settings.log)
        published = await self._first_occurrences()
        assert published == stored
        seen = await self.rows(SEEN, self.settings.name)
        assert by_stream(seen) == by_stream([(row[2], row[3]) for row in stored])
        assert await self.rows("SELECT * FROM consumer.parked") == []

    async def _first_occurrences(self) -> Stored:
        shards: defaultdict[int, Stored] = defaultdict(list)
        for record in await everything_in(self.kafka, self.settings.log):
            e = envelope_of(record)
            row = (e.shard, e.pos, e.stream, e.version, e.data)
            if row not in shards[e.shard]:
                shards[e.shard].append(row)
        return [row for shard in sorted(shards) for row in shards[shard]]


def by_stream(versions: list[tuple[str, int]]) -> dict[str, list[int]]:
    streams: defaultdict[str, list[int]] = defaultdict(list)
    for stream, version in versions:
        streams[stream].append(version)
    return dict(streams)


@pytest.fixture
async def shop(
    database: NewDatabase, kafka_server: KafkaServer, topic_prefix: str
) -> AsyncIterator[Shop]:
    async with a_shop(database("workshop"), kafka_server, topic_prefix) as opened:
        yield opened


@asynccontextmanager
async def a_shop(
    made: Database, kafka_server: KafkaServer, topic_prefix: str
) -> AsyncIterator[Shop]:
    migrate(made.owner_dsn, "workshop", folders=["eventstore/migrations", "messaging/migrations"])
    log = f"{topic_prefix}bayline.workshop.v1.JobEvent"
    with psycopg.connect(made.superuser_dsn, autocommit=True) as connection:
        connection.execute(TABLE)
        connection.execute("SELECT es.create_log(%s)", (log,))
    settings = Settings(
        log=log,
        name=f"{topic_prefix}seen",
        bootstrap=kafka_server.bootstrap,
        relay_dsn=made.relay_dsn,
        projector_dsn=made.projector_dsn,
    )
    async with topics(kafka_server, log):
        yield Shop(settings, made, kafka_server)


@pytest.fixture
async def start(shop: Shop) -> AsyncIterator[Callable[..., Any]]:
    async with processes(shop) as begin:
        yield begin


@asynccontextmanager
async def processes(shop: Shop) -> AsyncIterator[Callable[..., Any]]:
    """Starts the process; whatever still runs at the end of the test is ended."""
    started: list[Process] = []

    async def begin(failpoint: str = "") -> Process:
        started.append(await shop.start(failpoint))
        return started[-1]

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_killed_anywhere_loses_and_doubles_nothing(
    shop: Shop, start: Callable[..., Any], point: str
) -> None:
    doomed = await start(f"{point}:kill")
    await shop.write(rounds=3)
    async with asyncio.timeout(30):
        assert await doomed.wait() == -signal.SIGKILL

    await start()
    await shop.write(rounds=1)

    await shop.holds()


async def test_processes_killed_at_any_time_lose_and_double_nothing(
    shop: Shop, start: Callable[..., Any]
) -> None:
    chance = random.Random(20261124)
    for _ in range(6):
        doomed = await start()
        writing = asyncio.create_task(shop.write(rounds=2))
        with suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0.8, 2.5)):
                await doomed.wait()
        doomed.kill()
        await writing

    await start()

    await shop.holds()


async def test_a_relay_stopped_past_its_lease_is_replaced_and_harmless_when_it_wakes(
    shop: Shop, start: Callable[..., Any]
) -> None:
    sleeper = await start("relay.after_fetch:stop")
    await shop.write(rounds=2)
    await start()
    await eventually(shop.is_drained, within=30)

    sleeper.send_signal(signal.SIGCONT)
    await shop.write(rounds=2)

    await shop.holds()


async def test_a_database_that_stops_at_once_loses_and_doubles_nothing(
    kafka_server: KafkaServer, topic_prefix: str
) -> None:
    """In the middle of appends and of projections. Who got no answer asks again with the same key."""
    with own_postgres() as postgres:
        made = databases.prepare(postgres.server, "workshop", PASSWORDS)
        async with a_shop(made, kafka_server, topic_prefix) as shop, processes(shop) as start:
            await start()
            writing = asyncio.create_task(shop.write(rounds=12))
            for part in (1, 2, 3):
                await eventually(partial(shop.has_stored, part * 3 * len(JOBS)), within=30)
                postgres.stop_at_once()
                postgres.start()
            await writing

            assert len(await shop.rows(STORED, shop.settings.log)) == 12 * len(JOBS)
            await shop.holds()


async def test_a_commit_that_is_slow_is_waited_for_and_not_skipped(
    shop: Shop, start: Callable[..., Any]
) -> None:
    await start()
    async with shop.hold_open():
        shard = await shop.rows("SELECT es.shard('acme', %s)", UUID(int=999))
        others = [
            job
            for job in JOBS
            if await shop.rows("SELECT 1 WHERE es.shard('acme', %s) <> %s", job, shard[0][0])
        ]
        await asyncio.gather(*(shop._write(job, 2) for job in others))
        await eventually(shop.is_drained, within=30)

    await shop.holds()


async def test_a_process_told_to_end_finishes_within_ten_seconds(
    shop: Shop, start: Callable[..., Any]
) -> None:
    ending = await start()
    await eventually(shop.is_drained)
    writing = asyncio.create_task(shop.write(rounds=10))
    await eventually(lambda: _has_begun(shop))

    ending.terminate()
    async with asyncio.timeout(10):
        assert await ending.wait() == 0

    await writing
    await start()
    await shop.holds()


async def _has_begun(shop: Shop) -> bool:
    return bool(await shop.rows(SEEN, shop.settings.name))
