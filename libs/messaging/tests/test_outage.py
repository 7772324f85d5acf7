"""Servers that are away: what waits is seen to wait, and goes on by itself when they are back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from devstack import databases
from devstack.databases import Database
from eventstore.tail import PostgresTail
from kernel.clock import FixedClock
from messaging.consumer import Consumer
from messaging.kafka import BrokerSilent, KafkaPublisher, Pulse, connection, leave
from messaging.relay import Relay
from messaging.telemetry import LAG_TIME, OUTBOX_AGE
from messaging.trouble import Spell
from runtime.migrate import migrate
from runtime.supervision import Supervised
from testkit.failpoints import doing_at
from testkit.seen import a_pool
from testkit.servers import PASSWORDS, KafkaServer, OwnKafka, own_kafka, own_postgres
from testkit.topics import WrittenLog, eventually, publish

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150)]

Running = Callable[..., AbstractAsyncContextManager[None]]
JOBS = [UUID(int=number) for number in range(1, 21)]
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
APPEND = """
SELECT * FROM es.append(%s, 'acme', %s, 0, 'key', 'fp', ARRAY[gen_random_uuid()],
  ARRAY['Happened'], ARRAY[now()], ARRAY[''::bytea], ARRAY[''::bytea], '{}', '{}', '{}', '{}')"""


class Shop(Protocol):
    log: WrittenLog
    kafka: KafkaServer
    pool: Any
    name: str

    def consumer(self, **other: Any) -> Consumer: ...
    async def has_applied(self, events: int) -> bool: ...
    async def agrees_with_the_log(self) -> None: ...


ShopIn = Callable[..., AbstractAsyncContextManager[Shop]]


@pytest.fixture(scope="module")
def broker() -> Iterator[OwnKafka]:
    with own_kafka() as own:
        yield own


@pytest.fixture
async def shop_there(
    shop_in: ShopIn, consumer_database: Database, broker: OwnKafka
) -> AsyncIterator[Shop]:
    """Its broker may be killed."""
    async with shop_in(consumer_database, broker.server) as shop:
        yield shop


def write(shop: Shop) -> None:
    for job in JOBS:
        shop.log.append(job, b"1")


def ages(shop: Shop) -> tuple[float, float]:
    return OUTBOX_AGE.now()[shop.log.log], LAG_TIME.now()[shop.name]


def is_known_to_be_whole(shop: Shop) -> bool:
    return ages(shop) == (0, 0)


@pytest.mark.parametrize(
    ("go", "come_back"),
    [(OwnKafka.kill, OwnKafka.start), (OwnKafka.freeze, OwnKafka.thaw)],
    ids=["killed", "frozen"],
)
async def test_while_the_broker_is_away_what_waits_grows_older_and_then_all_goes_on(
    shop_there: Shop,
    broker: OwnKafka,
    running: Running,
    go: Callable[[OwnKafka], None],
    come_back: Callable[[OwnKafka], None],
) -> None:
    shop, clock = shop_there, FixedClock(NOW)
    relay = Relay(shop.log.tail(), KafkaPublisher(shop.kafka), clock=clock)

    consumer = shop.consumer(clock=clock)
    async with running(relay, consumer):
        write(shop)
        await shop.agrees_with_the_log()
        await eventually(lambda: is_known_to_be_whole(shop))

        go(broker)
        write(shop)
        clock.advance(timedelta(minutes=5))
        assert min(ages(shop)) >= 300
        clock.advance(timedelta(minutes=5))
        assert min(ages(shop)) >= 600
        await eventually(lambda: "broker_silent" in consumer.complaint)

        come_back(broker)
        await eventually(lambda: shop.has_applied(2 * len(JOBS)), within=60)
        await shop.agrees_with_the_log()
        await eventually(lambda: is_known_to_be_whole(shop))
        await eventually(lambda: not consumer.complaint)


async def test_a_relay_that_begins_while_the_broker_is_away_knows_what_waits(
    shop: Shop, running: Running
) -> None:
    write(shop)
    nowhere = KafkaPublisher(KafkaServer("127.0.0.1:1"))
    relay = Relay(shop.log.tail(), nowhere, clock=FixedClock(NOW))

    async with running(relay):
        await eventually(lambda: OUTBOX_AGE.now()[shop.log.log] > 3600)
        assert "relay_restarted" in relay.complaint


async def test_while_the_database_is_away_what_waits_grows_older(
    shop_in: ShopIn, kafka_server: KafkaServer, running: Running
) -> None:
    clock = FixedClock(NOW)
    with own_postgres() as postgres:
        made = databases.prepare(postgres.server, "workshop", PASSWORDS)
        migrate(made.owner_dsn, "workshop", folders=["eventstore/migrations"])
        async with shop_in(made, kafka_server) as shop, a_pool(made.relay_dsn) as pool:
            with psycopg.connect(made.superuser_dsn, autocommit=True) as connection:
                connection.execute("SELECT es.create_log(%s)", (shop.log.log,))
            relay = Relay(PostgresTail(pool, shop.log.log), KafkaPublisher(shop.kafka), clock=clock)
            async with running(relay, shop.consumer(clock=clock)):
                write(shop)
                await publish(shop.kafka, shop.log.envelopes)
                await shop.agrees_with_the_log()
                await eventually(lambda: is_known_to_be_whole(shop))

                postgres.stop_at_once()
                write(shop)
                await publish(shop.kafka, shop.log.envelopes)
                clock.advance(timedelta(minutes=5))
                await eventually(lambda: min(ages(shop)) >= 300)

                postgres.start()
                await eventually(lambda: is_known_to_be_whole(shop), within=60)


async def test_a_consumer_that_dies_is_begun_again_and_loses_and_doubles_nothing(
    shop: Shop,
) -> None:
    """As aiokafka has it die: of a cancellation that nobody meant for it."""
    left = iter(range(3))

    def interrupt() -> None:
        if next(left, None) is not None:
            raise asyncio.CancelledError

    write(shop)
    await publish(shop.kafka, shop.log.envelopes)
    supervised = Supervised(shop.consumer(), first=0.01)
    with doing_at("consumer.before_commit", interrupt):
        running = asyncio.create_task(supervised.run())
        await eventually(lambda: shop.has_applied(len(JOBS)), within=60)
    await shop.agrees_with_the_log()
    write(shop)
    await publish(shop.kafka, shop.log.envelopes)
    await shop.agrees_with_the_log()

    assert supervised.complaint.startswith("died 3 times")
    await supervised.stop()
    async with asyncio.timeout(10):
        await running


async def test_a_client_that_ends_in_a_cancellation_of_its_own_takes_nobody_along(
    kafka_server: KafkaServer,
) -> None:
    """`stop` awaits what it cancels: a fetcher with a task under way ends so."""
    kafka = AIOKafkaConsumer(**connection(kafka_server))
    await kafka.start()
    kafka._fetcher._pending_tasks.add(asyncio.create_task(asyncio.sleep(60)))

    await leave(kafka)

    assert all(not conn.connected() for conn in kafka._client._conns.values())


async def test_who_hears_nothing_of_the_broker_for_long_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("messaging.kafka.BEAT_SECONDS", 0.01)
    monkeypatch.setattr("messaging.kafka.SILENT_SECONDS", 0.1)
    answers = True

    async def ask() -> None:
        if not answers:
            raise KafkaConnectionError("nobody there")

    spell = Spell("broker_silent")
    async with Pulse(ask, spell) as pulse:
        await asyncio.sleep(0.2)
        pulse.check()
        answers = False
        await eventually(partial(_is_silent, pulse))

    assert "nobody there" in spell.complaint


def _is_silent(pulse: Pulse) -> bool:
    try:
        pulse.check()
    except BrokerSilent:
        return True
    return False


async def test_trouble_that_lasts_is_told_when_it_begins_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spell = Spell("store_silent", consumer="workshop.fleet")

    with capture_logs() as logs:
        for _ in range(1000):
            spell.met(KafkaConnectionError("gone"))
        spell.met(TimeoutError())
        spell.calm()
        monkeypatch.setattr("messaging.trouble.CALM_SECONDS", 0.0)
        spell.calm()
        spell.calm()

    assert [(line["event"], line.get("times")) for line in logs] == [
        ("trouble_met", None),
        ("trouble_met", None),
        ("trouble_over", 1001),
    ]
    assert spell.complaint == ""
