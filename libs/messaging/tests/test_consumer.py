import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from devstack import databases
from devstack.databases import Database
from kernel.errors import Unavailable
from messaging.consumer import Consumer
from messaging.cursor import Batch, load
from messaging.envelope import Envelope
from messaging.kafka import KafkaPublisher, producer
from messaging.positions import covered
from messaging.relay import Relay
from messaging.status import NotHalted, NothingToClear, Status, accept, clear, resume
from messaging.telemetry import HALTED, LAG, LAG_TIME, REBUILD_NEEDED
from testkit.failpoints import doing_at, failing_at
from testkit.servers import PASSWORDS, KafkaServer, own_postgres
from testkit.topics import WrittenLog, eventually, publish

pytestmark = pytest.mark.integration

Running = Callable[..., AbstractAsyncContextManager[None]]
JOBS = [UUID(int=number) for number in range(1, 41)]


class Seen(Protocol):
    name: str
    healed: bool
    failures: list[Exception]
    batches: list[int]


class Shop(Protocol):
    log: WrittenLog
    kafka: KafkaServer
    pool: Any
    seen: Seen
    name: str

    def consumer(self, **other: Any) -> Consumer: ...
    async def order_of(self, stream: UUID) -> list[int]: ...
    async def applied(self) -> int: ...
    async def has_applied(self, events: int) -> bool: ...
    async def has_parked(self, events: int) -> bool: ...
    async def status(self) -> Status: ...
    async def is_halted(self) -> bool: ...
    async def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]: ...
    async def agrees_with_the_log(self) -> None: ...


ShopIn = Callable[[Database], AbstractAsyncContextManager[Shop]]


def write(shop: Shop, *, rounds: int = 1) -> list[Envelope]:
    return [shop.log.append(job, b"%d" % n) for n in range(rounds) for job in JOBS]


async def test_what_was_published_is_applied_once_and_in_order(
    shop: Shop, running: Running
) -> None:
    await publish(shop.kafka, write(shop, rounds=5))

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()
        await publish(shop.kafka, write(shop))
        await shop.agrees_with_the_log()


async def test_relay_and_consumer_together_keep_up(shop: Shop, running: Running) -> None:
    relay = Relay(shop.log.tail(), KafkaPublisher(shop.kafka))

    async with running(relay, shop.consumer()):
        for _ in range(10):
            write(shop)
            await shop.has_applied(1)
        await shop.agrees_with_the_log()


async def test_a_consumer_goes_on_where_it_stopped(shop: Shop, running: Running) -> None:
    await publish(shop.kafka, write(shop))
    async with running(shop.consumer()):
        await shop.agrees_with_the_log()
    await publish(shop.kafka, write(shop))
    shop.seen.batches.clear()

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()

    assert sum(shop.seen.batches) == len(JOBS)


async def test_a_whole_topic_published_again_changes_nothing(shop: Shop, running: Running) -> None:
    events = write(shop, rounds=2)
    await publish(shop.kafka, events)

    async with running(shop.consumer()):
        await publish(shop.kafka, events)
        await publish(shop.kafka, events[10:30])
        await publish(shop.kafka, events)
        await publish(shop.kafka, write(shop))
        await shop.agrees_with_the_log()


async def test_lost_offsets_and_cursors_of_another_topic_do_no_harm(
    shop: Shop, running: Running
) -> None:
    await publish(shop.kafka, write(shop, rounds=2))
    async with running(shop.consumer()):
        await shop.agrees_with_the_log()
    await shop.rows("UPDATE consumer.cursor SET kafka_offset = 100000 RETURNING 1")
    await publish(shop.kafka, write(shop))

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()


async def test_a_gap_in_the_topic_is_filled_from_the_store(shop: Shop, running: Running) -> None:
    events = write(shop, rounds=6)
    kept = [event for number, event in enumerate(events) if number % 3 == 0 or number > 200]
    await publish(shop.kafka, kept)

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()


async def test_events_out_of_order_are_applied_in_order(shop: Shop, running: Running) -> None:
    events = write(shop, rounds=4)
    shuffled = random.Random(7).sample(events, len(events))
    await publish(shop.kafka, shuffled)

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()


class SilentStore:
    """Does not answer until it is asked to."""

    def __init__(self, log: WrittenLog) -> None:
        self.log, self.answers, self.asked = log, False, 0

    async def read(
        self, log: str, shard: int, from_pos: int, to_pos: int
    ) -> AsyncIterator[Envelope]:
        self.asked += 1
        if not self.answers:
            raise RuntimeError("connection refused")
        async for envelope in self.log.read(log, shard, from_pos, to_pos):
            yield envelope


async def test_while_the_store_is_silent_only_the_partition_with_the_gap_waits(
    shop: Shop, running: Running
) -> None:
    events = write(shop, rounds=2)
    missing = events[0]
    waiting = [event for event in events if event.partition == missing.partition]
    await publish(shop.kafka, [event for event in events if event is not missing])
    store = SilentStore(shop.log)

    async with running(shop.consumer(backfill=store)):
        await eventually(lambda: shop.has_applied(len(events) - len(waiting)))
        await eventually(lambda: store.asked > 2)
        store.answers = True
        await shop.agrees_with_the_log()


@pytest.mark.parametrize("ill", [b"undecodable", b"bug", b"newer"])
async def test_poison_parks_its_stream_and_no_other(
    shop: Shop, running: Running, ill: bytes
) -> None:
    before = write(shop)
    shop.log.append(JOBS[0], ill)
    after = write(shop, rounds=2)
    await publish(shop.kafka, shop.log.envelopes)

    async with running(shop.consumer()):
        await eventually(lambda: shop.has_parked(3))
        await eventually(lambda: shop.has_applied(len(before) + len(after) - 2))

        assert await shop.order_of(JOBS[0]) == [1]
        assert await shop.order_of(JOBS[1]) == [1, 2, 3]
        later = shop.log.append(JOBS[0], b"later")
        await publish(shop.kafka, [later])
        await eventually(lambda: shop.has_parked(4))


async def test_an_event_of_a_kind_not_known_yet_is_skipped_and_counted(
    shop: Shop, running: Running
) -> None:
    write(shop)
    shop.log.append(JOBS[0], b"unknown")
    shop.log.append(JOBS[0], b"known")
    await publish(shop.kafka, shop.log.envelopes)

    async with running(shop.consumer()):
        await eventually(lambda: shop.has_applied(len(JOBS) + 1))
        await eventually(lambda: REBUILD_NEEDED.now()[shop.name] == 1)

    assert await shop.order_of(JOBS[0]) == [1, 3]
    assert (await shop.status()).rebuild_needed == 1
    assert await clear(shop.pool, shop.name, who="ada", reason="seen to by hand") == 1
    assert (await shop.status()).rebuild_needed == 0
    with pytest.raises(NothingToClear):
        await clear(shop.pool, shop.name, who="ada", reason="once more")
    assert await shop.has_parked(0)


async def test_a_record_that_no_relay_published_is_kept_and_passed_by(
    shop: Shop, running: Running
) -> None:
    async with producer(shop.kafka) as kafka:
        await kafka.send_and_wait(shop.log.log, b"hello", key=b"stranger", partition=3)
    await publish(shop.kafka, write(shop))

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()
        await eventually(lambda: shop.has_parked(1))

    query = "SELECT key, value, tenant, stream, pos FROM consumer.parked WHERE name = %s"
    assert await shop.rows(query, shop.name) == [(b"stranger", b"hello", "", "", None)]


@pytest.mark.parametrize(
    "trouble",
    [
        psycopg.OperationalError("server closed the connection"),
        psycopg.errors.SerializationFailure("could not serialize"),
        psycopg.errors.UndefinedTable("relation does not exist"),
        psycopg.InterfaceError("the connection is lost"),
        KafkaError("broker"),
        Unavailable("workshop does not answer"),
        TimeoutError(),
    ],
)
async def test_passing_trouble_is_waited_out_and_never_parked(
    shop: Shop, running: Running, trouble: Exception
) -> None:
    shop.seen.failures = [trouble] * 4
    await publish(shop.kafka, write(shop))

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()

    assert await shop.has_parked(0)
    assert not shop.seen.failures


async def test_a_bug_that_spoils_a_batch_but_no_event_alone_parks_nothing(
    shop: Shop, running: Running
) -> None:
    shop.seen.failures = [ZeroDivisionError("once"), ZeroDivisionError("twice")]
    await publish(shop.kafka, write(shop))

    async with running(shop.consumer()):
        await shop.agrees_with_the_log()

    assert await shop.has_parked(0)


@pytest.mark.parametrize("point", ["consumer.before_commit", "consumer.after_commit"])
async def test_a_crash_around_the_commit_loses_and_doubles_nothing(
    shop: Shop, running: Running, point: str
) -> None:
    await publish(shop.kafka, write(shop, rounds=2))
    crash = psycopg.OperationalError("the process ends here")

    with failing_at(point, times=5, error=crash):
        async with running(shop.consumer()):
            await shop.agrees_with_the_log()


async def test_connections_cut_by_the_database_lose_and_double_nothing(
    shop: Shop, running: Running, consumer_database: Any
) -> None:
    async with running(shop.consumer()):
        for _ in range(5):
            await publish(shop.kafka, write(shop))
            with psycopg.connect(consumer_database.superuser_dsn) as superuser:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE usename = 'workshop_projector' AND datname = current_database()"
                )
        await _with_reconnects(shop.agrees_with_the_log)

    assert await shop.has_parked(0)


async def test_while_the_database_is_away_kafka_is_told_of_nothing_that_is_not_done(
    shop_in: ShopIn, running: Running
) -> None:
    with own_postgres() as postgres:
        made = databases.prepare(postgres.server, "workshop", PASSWORDS)
        async with shop_in(made) as shop:
            await publish(shop.kafka, write(shop))
            async with running(shop.consumer()):
                await shop.agrees_with_the_log()
                await eventually(lambda: _has_committed(shop, len(JOBS)))
                postgres.stop_at_once()
                await publish(shop.kafka, write(shop, rounds=2))
                with pytest.raises(AssertionError):  # a commit is due every five seconds
                    await eventually(lambda: _has_committed(shop, len(JOBS) + 1), within=6)
                postgres.start()
                await _with_reconnects(shop.agrees_with_the_log)
                await eventually(lambda: _has_committed(shop, 3 * len(JOBS)))


async def _has_committed(shop: Shop, records: int) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=shop.kafka.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(shop.name)
    finally:
        await admin.close()
    return bool(sum(max(0, each.offset) for each in offsets.values()) >= records)


async def _with_reconnects(check: Callable[[], Awaitable[None]]) -> None:
    for _ in range(8):
        with suppress(psycopg.OperationalError):
            await check()
            return
    await check()


async def test_consumers_that_come_and_go_share_the_work_exactly_once(
    shop: Shop, running: Running
) -> None:
    relay = Relay(shop.log.tail(), KafkaPublisher(shop.kafka))

    async with running(relay, shop.consumer()):
        for _ in range(3):
            async with running(shop.consumer()):
                write(shop, rounds=3)
                await eventually(lambda: shop.has_applied(len(shop.log.envelopes) // 2))
                write(shop, rounds=2)
        await shop.agrees_with_the_log()

    assert await shop.has_parked(0)


async def test_a_consumer_whose_cursor_was_moved_by_another_gives_way(
    shop: Shop, running: Running
) -> None:
    first = write(shop)
    await publish(shop.kafka, first)
    async with running(shop.consumer()):
        await shop.agrees_with_the_log()
        twin = shop.consumer()
        last = shop.log.append(JOBS[0], b"applied by the other one")
        await _apply_as_another(twin, last)
        await publish(shop.kafka, [last, *write(shop)])
        await shop.agrees_with_the_log()

    assert await shop.order_of(JOBS[0]) == [1, 2, 3]


async def _apply_as_another(twin: Consumer, envelope: Envelope) -> None:
    """What a process does that holds the same partition, not knowing that it lost it."""
    partition = TopicPartition(envelope.topic, envelope.partition)
    async with twin._pool.connection() as connection:
        cursors = await load(connection, twin._name, [partition])
    batch = Batch()
    batch.take(cursors[envelope.topic, envelope.shard], envelope)
    await twin._effects.apply(batch)


async def test_a_new_epoch_halts_until_someone_resumes(shop: Shop, running: Running) -> None:
    await publish(shop.kafka, write(shop))
    async with running(shop.consumer()):
        await shop.agrees_with_the_log()
        before = await shop.applied()
        epoch = shop.log.begin_new_epoch()
        fresh = shop.log.append(JOBS[0], b"after the restore")
        await publish(shop.kafka, [fresh])
        await eventually(shop.is_halted)
        await eventually(lambda: HALTED.now()[shop.name] == 1)

        assert LAG.now()[shop.name] > 0
        await eventually(lambda: LAG_TIME.now()[shop.name] > 0)
        assert await shop.applied() == before
        assert (await shop.status()).epoch == epoch
        with pytest.raises(NotHalted):
            await resume(shop.pool, shop.name, "00000000-0000-7000-8000-000000000000")

        await resume(shop.pool, shop.name, epoch)
        await shop.agrees_with_the_log()
        await eventually(lambda: HALTED.now()[shop.name] == LAG.now()[shop.name] == 0)
        write(shop)
        await publish(shop.kafka, shop.log.envelopes)
        await shop.agrees_with_the_log()


async def test_a_new_epoch_that_was_accepted_halts_nobody(shop: Shop, running: Running) -> None:
    await publish(shop.kafka, write(shop))
    async with running(shop.consumer()):
        await shop.agrees_with_the_log()
        epoch = shop.log.begin_new_epoch()
        await accept(shop.pool, shop.name, shop.log.log, epoch)
        await publish(shop.kafka, write(shop))

        await shop.agrees_with_the_log()

    assert not await shop.is_halted()


async def test_after_a_lossy_restore_a_consumer_that_is_ahead_halts_again(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        epoch = await applied_and_lost(shop)
        await publish(shop.kafka, [shop.log.append(JOBS[0], b"another truth")])
        await eventually(shop.is_halted)
        await resume(shop.pool, shop.name, epoch)
        await eventually(shop.is_halted)

        assert "another event stands at the last position" in (await shop.status()).reason


async def test_after_a_lossy_restore_a_consumer_halts_though_the_epoch_was_accepted(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await accept(shop.pool, shop.name, shop.log.log, await applied_and_lost(shop))
        await publish(shop.kafka, [shop.log.append(JOBS[0], b"another truth")])
        await eventually(shop.is_halted)

        assert "another event stands at the last position" in (await shop.status()).reason


async def applied_and_lost(shop: Shop) -> str:
    """The new epoch of a store that came back without an event which the consumer has applied."""
    write(shop)
    lost = shop.log.append(JOBS[0], b"applied here, lost by the store")
    await publish(shop.kafka, shop.log.envelopes)
    await shop.agrees_with_the_log()
    shop.log.lose_last(lost.shard)
    return shop.log.begin_new_epoch()


async def test_a_rewritten_event_halts(shop: Shop, running: Running) -> None:
    first, *_ = write(shop)
    second = shop.log.append(JOBS[0], b"as it was stored")
    await publish(shop.kafka, [replace(first, data=b"forged"), second])

    async with running(shop.consumer()):
        await eventually(shop.is_halted)

    assert "hash chain does not continue" in (await shop.status()).reason


async def test_stopping_finishes_the_batch_at_hand(shop: Shop, running: Running) -> None:
    await publish(shop.kafka, write(shop, rounds=3))
    consumer = shop.consumer()
    loop = asyncio.get_running_loop()

    with doing_at("consumer.before_commit", consumer.stop):
        began = loop.time()
        await consumer.run()

    assert loop.time() - began < 10
    moved = await shop.rows("SELECT sum(pos) FROM consumer.cursor WHERE name = %s", shop.name)
    assert moved == [(await shop.applied(),)]
    async with running(shop.consumer()):
        await shop.agrees_with_the_log()


async def test_a_reader_waits_for_its_own_write(shop: Shop, running: Running) -> None:
    loop = asyncio.get_running_loop()
    async with running(shop.consumer()):
        await publish(shop.kafka, write(shop))
        await shop.agrees_with_the_log()
        mine = shop.log.append(JOBS[0], b"mine")
        place = (mine.topic, mine.shard, mine.pos)
        assert not await covered(shop.pool, shop.name, [place], loop.time() + 0.05)

        waiting = asyncio.create_task(covered(shop.pool, shop.name, [place], loop.time() + 10))
        await publish(shop.kafka, [mine])

        assert await waiting
        assert await shop.order_of(JOBS[0]) == [1, 2]
