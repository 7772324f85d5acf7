import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import pytest

from kernel.clock import FixedClock
from messaging.envelope import Envelope, envelope_from, envelope_of, headers_of
from messaging.kafka import KafkaPublisher, Publish
from messaging.relay import Relay
from messaging.telemetry import OUTBOX_AGE, RELAY_HALTED
from testkit.failpoints import Injected, failing_at
from testkit.servers import KafkaServer
from testkit.topics import (
    MONDAY_8AM,
    LeaseLost,
    WrittenLog,
    WrittenRow,
    eventually,
    everything_in,
    publish,
)

pytestmark = pytest.mark.integration

Running = Callable[..., AbstractAsyncContextManager[None]]
JOBS = [UUID(int=number) for number in range(40)]
POINTS = ["before_fetch", "after_fetch", "mid_produce", "after_acks", "after_checkpoint"]


class Shop(Protocol):
    log: WrittenLog
    kafka: KafkaServer


def relay(shop: Shop) -> Relay[WrittenRow]:
    return Relay(shop.log.tail(), KafkaPublisher(shop.kafka))


def write(shop: Shop, jobs: Sequence[UUID] = JOBS, *, rounds: int = 1) -> None:
    for number in range(rounds):
        for job in jobs:
            shop.log.append(job, b"event %d" % number)


def is_drained(shop: Shop) -> bool:
    return shop.log.relayed == {shard: len(rows) for shard, rows in shop.log.shards.items()}


async def is_in_kafka_in_order(shop: Shop) -> None:
    """Every event at least once, first occurrences in order, bytes as stored."""
    records = await everything_in(shop.kafka, shop.log.log)
    firsts: dict[int, list[Envelope]] = defaultdict(list)
    for record in records:
        envelope = envelope_of(record)
        assert list(record.headers) == headers_of(envelope)
        assert record.key == envelope.key.encode()
        if envelope not in firsts[envelope.shard]:
            firsts[envelope.shard].append(envelope)
    published = [envelope for shard in sorted(firsts) for envelope in firsts[shard]]
    assert published == shop.log.envelopes


async def test_everything_is_published_in_order_while_more_is_written(
    shop: Shop, running: Running
) -> None:
    async with running(relay(shop)):
        for _ in range(20):
            write(shop)
            await asyncio.sleep(0)
        await eventually(lambda: is_drained(shop))

    await is_in_kafka_in_order(shop)
    assert len(await everything_in(shop.kafka, shop.log.log)) == len(shop.log.envelopes)


async def test_the_largest_event_that_a_log_takes_is_published(
    shop: Shop, running: Running
) -> None:
    shop.log.append(JOBS[0], b"x" * 256 * 1024)
    shop.log.append(JOBS[0], b"the next")

    async with running(relay(shop)):
        await eventually(lambda: is_drained(shop))

    await is_in_kafka_in_order(shop)


async def test_a_poke_publishes_at_once(shop: Shop, running: Running) -> None:
    publishing = relay(shop)
    async with running(publishing):
        for job in JOBS[:5]:
            write(shop, [job])
            publishing.poke()
            await eventually(lambda: is_drained(shop))

    await is_in_kafka_in_order(shop)


@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_anywhere_loses_nothing(shop: Shop, running: Running, point: str) -> None:
    write(shop, rounds=3)

    with failing_at(f"relay.{point}", times=2):
        async with running(relay(shop)):
            await eventually(lambda: is_drained(shop))
            write(shop)
            await eventually(lambda: is_drained(shop))

    await is_in_kafka_in_order(shop)


class Faltering:
    """Publishes a part of what it is given, then fails, for the first sessions."""

    def __init__(self, kafka: KafkaServer, failures: int) -> None:
        self.real, self.failures, self.sessions = KafkaPublisher(kafka), failures, 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Publish]:
        self.sessions += 1
        async with self.real.session() as publish_all:

            async def publish_some(envelopes: Sequence[Envelope]) -> None:
                if self.failures:
                    self.failures -= 1
                    await publish_all(envelopes[: len(envelopes) // 3])
                    raise Injected("the broker said no")
                await publish_all(envelopes)

            yield publish_some

    async def last(self, topic: str) -> Sequence[Envelope]:
        return await self.real.last(topic)


async def test_a_failed_producer_is_replaced_and_its_batch_sent_again(
    shop: Shop, running: Running
) -> None:
    faltering = Faltering(shop.kafka, failures=3)
    write(shop, rounds=3)

    async with running(Relay(shop.log.tail(), faltering)):
        await eventually(lambda: is_drained(shop))

    assert faltering.sessions == 4
    await is_in_kafka_in_order(shop)


async def test_a_relay_that_slept_past_its_lease_repeats_but_never_moves_the_cursor(
    shop: Shop, running: Running
) -> None:
    write(shop, rounds=2)
    zombie = shop.log.tail()
    assert await zombie.lease()
    stale = await zombie.fetch()
    shop.log.until = 0.0

    async with running(relay(shop)):
        await eventually(lambda: is_drained(shop))
        write(shop)
        await publish(shop.kafka, [envelope_from(row) for row in stale])
        with pytest.raises(LeaseLost):
            await zombie.advance(stale)
        await eventually(lambda: is_drained(shop))

    await is_in_kafka_in_order(shop)


async def test_of_two_relays_one_publishes(shop: Shop, running: Running) -> None:
    write(shop)

    async with running(relay(shop), relay(shop)):
        await eventually(lambda: is_drained(shop))
        write(shop)
        await eventually(lambda: is_drained(shop))

    assert len(await everything_in(shop.kafka, shop.log.log)) == len(shop.log.envelopes)


async def test_a_relay_stops_after_the_batch_at_hand(shop: Shop, running: Running) -> None:
    write(shop, rounds=2)
    stopping = relay(shop)

    async with running(stopping):
        await eventually(lambda: any(shop.log.relayed.values()))
        stopping.stop()

    published = len(await everything_in(shop.kafka, shop.log.log))
    assert published == sum(shop.log.relayed.values())


async def test_a_store_that_lost_its_tail_is_not_published_over(
    shop: Shop, running: Running
) -> None:
    write(shop)
    async with running(relay(shop)):
        await eventually(lambda: is_drained(shop))
    last = shop.log.append(JOBS[0], b"published, then lost")
    await publish(shop.kafka, [last])
    shop.log.lose_last(last.shard)

    published = len(await everything_in(shop.kafka, shop.log.log))

    halted = relay(shop)
    async with running(halted):
        await eventually(lambda: "give the restored store a new epoch" in halted.complaint)
        write(shop)
        assert RELAY_HALTED.now()[shop.log.log] == 1
        assert len(await everything_in(shop.kafka, shop.log.log)) == published

        shop.log.begin_new_epoch()
        await eventually(lambda: is_drained(shop))
        assert (halted.complaint, RELAY_HALTED.now()[shop.log.log]) == ("", 0)


async def test_while_a_relay_is_halted_what_waits_grows_older(shop: Shop, running: Running) -> None:
    clock = FixedClock(MONDAY_8AM)
    last = shop.log.append(JOBS[0], b"published, then lost")
    await publish(shop.kafka, [last])
    shop.log.lose_last(last.shard)

    halted = Relay(shop.log.tail(), KafkaPublisher(shop.kafka), clock=clock)
    async with running(halted):
        await eventually(lambda: halted.complaint)
        clock.advance(timedelta(minutes=5))

        assert OUTBOX_AGE.now()[shop.log.log] == 300


async def test_a_store_that_was_rewritten_is_not_published_over(
    shop: Shop, running: Running
) -> None:
    lost = shop.log.append(JOBS[0], b"published, then lost")
    await publish(shop.kafka, [lost])
    shop.log.lose_last(lost.shard)
    shop.log.append(JOBS[0], b"another truth")

    halted = relay(shop)
    async with running(halted):
        await eventually(lambda: halted.complaint)
        assert len(await everything_in(shop.kafka, shop.log.log)) == 1


async def test_events_that_the_store_loses_while_the_relay_runs_are_not_published_over(
    shop: Shop, running: Running
) -> None:
    """As when the database fails over to a replica that lags: connections break, nothing restarts."""
    write(shop)
    publishing = relay(shop)
    async with running(publishing):
        await eventually(lambda: is_drained(shop))
        last = shop.log.append(JOBS[0], b"published, then lost")
        await eventually(lambda: is_drained(shop))
        with failing_at("relay.before_fetch"):
            shop.log.lose_last(last.shard)
            shop.log.append(JOBS[0], b"another truth")
            await eventually(lambda: publishing.complaint.startswith(shop.log.log))
