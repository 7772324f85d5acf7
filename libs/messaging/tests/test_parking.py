import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from uuid import UUID

import pytest

from devstack.databases import Database
from messaging.consumer import Consumer
from messaging.dlq import DlqRelay, dlq_of
from messaging.envelope import headers_of
from messaging.parking import NotParked, Parked, Retried, discard, lock_parked, parked, retry
from messaging.retries import answer, ask
from messaging.status import Status
from messaging.telemetry import PARKED_NOW, UNPUBLISHED
from testkit.seen import a_pool
from testkit.servers import KafkaServer
from testkit.topics import WrittenLog, eventually, everything_in, publish, topics

pytestmark = pytest.mark.integration

Running = Callable[..., AbstractAsyncContextManager[None]]
ILL, WELL, ALSO_ILL = (UUID(int=number) for number in (1, 2, 3))


class Shop(Protocol):
    log: WrittenLog
    kafka: KafkaServer
    pool: Any
    database: Database
    seen: Any
    name: str

    def consumer(self, **other: Any) -> Consumer: ...
    async def order_of(self, stream: UUID) -> list[int]: ...
    async def status(self) -> Status: ...
    async def has_applied(self, events: int) -> bool: ...
    async def has_parked(self, events: int) -> bool: ...
    async def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]: ...
    async def agrees_with_the_log(self) -> None: ...


async def fall_ill(shop: Shop) -> None:
    """Two streams are parked at their second event, with two more behind; a third one flows."""
    for stream in (ILL, WELL, ALSO_ILL):
        for data in (b"1", b"2" if stream == WELL else b"bug", b"3", b"4"):
            shop.log.append(stream, data)
    await publish(shop.kafka, shop.log.envelopes)
    await eventually(lambda: shop.has_parked(6))
    await eventually(lambda: shop.has_applied(6))


async def test_what_is_parked_says_why_and_keeps_every_byte(shop: Shop, running: Running) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)

    kept = [each for each in await parked(shop.pool, shop.name) if each.stream == str(ILL)]

    assert [each.error for each in kept] == [
        "ZeroDivisionError: a bug of the handler",
        "an earlier event of its stream is parked",
        "an earlier event of its stream is parked",
    ]
    originals = [event for event in shop.log.envelopes if event.stream == str(ILL)][1:]
    assert [each.headers for each in kept] == [headers_of(event) for event in originals]
    assert [each.value for each in kept] == [event.data for event in originals]


async def test_retrying_drains_each_stream_in_order_while_the_consumer_runs(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)
        shop.seen.healed = True

        assert await retry(shop.pool, shop.name, shop.seen) == Retried(applied=6, failed=0)
        await publish(shop.kafka, [shop.log.append(stream, b"5") for stream in (ILL, WELL)])
        await shop.agrees_with_the_log()

    assert await shop.has_parked(0)
    assert await shop.order_of(ILL) == [1, 2, 3, 4, 5]


async def test_a_retry_that_a_person_asks_for_is_done_by_the_consumer(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)
        await eventually(lambda: PARKED_NOW.now()[shop.name] == 6)
        shop.seen.healed = True
        number = await _asked_by_a_person(shop)

        await eventually(lambda: _is_answered(shop, number))
        await eventually(lambda: PARKED_NOW.now()[shop.name] == 0)

        assert await answer(shop.pool, number) == Retried(applied=6, failed=0)
        await shop.agrees_with_the_log()


async def _asked_by_a_person(shop: Shop) -> int:
    """As superuser: a service cannot ask itself."""
    async with a_pool(shop.database.superuser_dsn, size=1) as pool:
        return await ask(pool, shop.name, who="users/7")


async def _is_answered(shop: Shop, number: int) -> bool:
    return await answer(shop.pool, number) is not None


async def test_retrying_in_vain_leaves_the_stream_parked(shop: Shop, running: Running) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)

        assert await retry(shop.pool, shop.name, shop.seen) == Retried(applied=0, failed=2)

    assert await shop.has_parked(6)
    assert await shop.order_of(ILL) == [1]


async def test_a_kind_of_event_unknown_at_a_retry_calls_for_a_rebuild(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        for data in (b"bug", b"unknown", b"3"):
            shop.log.append(ILL, data)
        await publish(shop.kafka, shop.log.envelopes)
        await eventually(lambda: shop.has_parked(3))
        shop.seen.healed = True

        assert await retry(shop.pool, shop.name, shop.seen) == Retried(applied=3, failed=0)

    assert await shop.order_of(ILL) == [1, 3]
    assert (await shop.status()).rebuild_needed == 1


async def test_events_that_arrive_during_a_retry_are_not_applied_before_it(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)
        shop.seen.healed = True
        more = [shop.log.append(ILL, b"more") for _ in range(30)]

        await asyncio.gather(
            publish(shop.kafka, more),
            _retry_until_drained(shop),
        )
        await shop.agrees_with_the_log()

    assert await shop.order_of(ILL) == list(range(1, 35))


async def _retry_until_drained(shop: Shop) -> None:
    async def drained() -> bool:
        await retry(shop.pool, shop.name, shop.seen)
        return await shop.has_parked(0) and len(await shop.order_of(ILL)) == 34

    await eventually(drained)


async def test_two_who_retry_at_once_apply_nothing_twice(shop: Shop, running: Running) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)
        shop.seen.healed = True

        done = await asyncio.gather(*(retry(shop.pool, shop.name, shop.seen) for _ in range(3)))

        assert sum(each.applied for each in done) == 6
        await shop.agrees_with_the_log()


async def test_a_consumer_waits_for_a_retry_that_holds_the_stream(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)
        stream = (shop.log.log, "acme", str(ILL))
        async with shop.pool.connection() as retrying, retrying.transaction():
            assert await lock_parked(retrying, shop.name, [stream]) == {stream}
            await publish(shop.kafka, [shop.log.append(ILL, b"5"), shop.log.append(WELL, b"5")])
            await eventually(lambda: _waits_for_a_lock(shop))
            assert await shop.has_parked(6)
        await eventually(lambda: shop.has_parked(7))


async def _waits_for_a_lock(shop: Shop) -> bool:
    waiting = await shop.rows("SELECT 1 FROM pg_locks WHERE NOT granted")
    return bool(waiting)


async def test_a_discarded_event_is_given_up_and_its_stream_goes_on(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await fall_ill(shop)
        ill, *_ = [each for each in await parked(shop.pool, shop.name) if each.stream == str(ILL)]

        await discard(shop.pool, shop.name, ill.id, who="users/7", reason="entered twice")
        assert await retry(shop.pool, shop.name, shop.seen) == Retried(applied=2, failed=1)

    assert await shop.order_of(ILL) == [1, 3, 4]
    query = "SELECT id, discarded_by, reason FROM consumer.discarded WHERE name = %s"
    assert await shop.rows(query, shop.name) == [(ill.id, "users/7", "entered twice")]


async def test_the_last_event_discarded_sets_the_stream_free(shop: Shop, running: Running) -> None:
    async with running(shop.consumer()):
        await publish(shop.kafka, [shop.log.append(ILL, b"bug")])
        await eventually(lambda: shop.has_parked(1))
        (ill,) = await parked(shop.pool, shop.name)
        await discard(shop.pool, shop.name, ill.id, who="users/7", reason="nonsense")

        await publish(shop.kafka, [shop.log.append(ILL, b"2")])
        await eventually(lambda: shop.has_applied(1))


async def test_what_is_not_parked_cannot_be_discarded(shop: Shop) -> None:
    with pytest.raises(NotParked):
        await discard(shop.pool, shop.name, 0, who="users/7", reason="no such event")


async def test_what_is_parked_is_published_once_relayed_as_it_came(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer(), DlqRelay(shop.pool, shop.kafka)):
        await fall_ill(shop)
        await eventually(lambda: _is_relayed(shop))

    kept = {(each.key, each.value): each for each in await parked(shop.pool, shop.name)}
    records = await everything_in(shop.kafka, dlq_of(shop.log.log))
    assert len(records) == 6
    for record in records:
        each = kept[record.key, record.value]
        assert list(record.headers) == [*each.headers, *_added(each)]


async def _is_relayed(shop: Shop, log: str = "") -> bool:
    found = [each for each in await parked(shop.pool, shop.name) if log in {"", each.log}]
    return all(each.relayed_at for each in found)


def _added(each: Parked) -> list[tuple[str, bytes]]:
    return [("bayline-consumer", each.name.encode()), ("bayline-error", each.error.encode())]


async def test_a_missing_topic_holds_up_no_dead_letters_but_its_own(
    shop: Shop, running: Running
) -> None:
    gone = f"{shop.log.log}.gone"
    async with running(shop.consumer()):
        await fall_ill(shop)
    query = "UPDATE consumer.parked SET log = %s WHERE name = %s AND stream = %s RETURNING id"
    await shop.rows(query, gone, shop.name, str(ILL))

    async with running(DlqRelay(shop.pool, shop.kafka)):
        await eventually(lambda: _is_relayed(shop, log=shop.log.log))
        assert not await _is_relayed(shop, log=gone)
        assert UNPUBLISHED.now()[gone] == 3

        async with topics(shop.kafka, gone):
            await eventually(lambda: _is_relayed(shop, log=gone))
            await eventually(lambda: UNPUBLISHED.now()[gone] == 0)
            assert len(await everything_in(shop.kafka, dlq_of(gone))) == 3

    assert len(await everything_in(shop.kafka, dlq_of(shop.log.log))) == 3
