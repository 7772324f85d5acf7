"""A consumer that may not park: what it cannot apply stops it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from uuid import UUID

import pytest

from kernel.errors import Unavailable
from messaging.consumer import Consumer
from messaging.kafka import producer
from messaging.status import Status, resume
from testkit.servers import KafkaServer
from testkit.topics import WrittenLog, eventually, publish

pytestmark = pytest.mark.integration

Running = Callable[..., AbstractAsyncContextManager[None]]
JOBS = [UUID(int=number) for number in range(1, 11)]


class Shop(Protocol):
    log: WrittenLog
    kafka: KafkaServer
    pool: Any
    seen: Any
    name: str

    def consumer(self, **other: Any) -> Consumer: ...
    async def applied(self) -> int: ...
    async def has_applied(self, events: int) -> bool: ...
    async def has_parked(self, events: int) -> bool: ...
    async def status(self) -> Status: ...
    async def is_halted(self) -> bool: ...
    async def agrees_with_the_log(self) -> None: ...


async def test_a_bug_stops_it_and_nothing_is_parked(shop: Shop) -> None:
    await publish(shop.kafka, [shop.log.append(job, b"bug") for job in JOBS])

    async with asyncio.timeout(20):
        with pytest.raises(ZeroDivisionError):
            await shop.consumer(parks=False).run()

    assert await shop.applied() == 0
    assert await shop.has_parked(0)


async def test_trouble_that_passes_is_waited_out(shop: Shop, running: Running) -> None:
    shop.seen.failures = [Unavailable("busy"), ConnectionError("gone")]
    await publish(shop.kafka, [shop.log.append(job, b"1") for job in JOBS])

    async with running(shop.consumer(parks=False, most=4)):
        await shop.agrees_with_the_log()


async def test_a_record_that_no_relay_published_halts_it_until_a_person_has_looked(
    shop: Shop, running: Running
) -> None:
    await publish(shop.kafka, [shop.log.append(job, b"1") for job in JOBS])

    async with running(shop.consumer(parks=False)):
        await shop.has_applied(len(JOBS))
        async with producer(shop.kafka) as kafka:
            await kafka.send_and_wait(shop.log.log, b"junk", partition=0)
        await eventually(shop.is_halted)
        await publish(shop.kafka, [shop.log.append(job, b"2") for job in JOBS])
        status = await shop.status()
        assert "not one of our records" in status.reason

        await resume(shop.pool, shop.name, status.epoch)
        await shop.agrees_with_the_log()

    assert await shop.has_parked(0)
