import asyncio
from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import grpc
import psycopg
import pytest
from structlog.testing import capture_logs

from kernel import errors as kinds
from kernel.errors import DomainError, Violation
from runtime import context
from runtime.errors import Internal, problem_of
from runtime.identity import Caller
from runtime.positions import Place
from runtime.service import Service
from testkit.tokens import Issuer

Stub: TypeAlias = Any  # compiled while the tests run: no checker can know it
Message: TypeAlias = Any
Context: TypeAlias = Any

ALL_KINDS = [
    kinds.InvalidArgument,
    kinds.NotFound,
    kinds.AlreadyExists,
    kinds.RuleViolated,
    kinds.Conflict,
    kinds.Forbidden,
    kinds.Unauthenticated,
    kinds.QuotaExhausted,
    kinds.Unavailable,
    kinds.Damaged,
]


class Scales:
    """Answers, or raises what it is told to."""

    def __init__(self, pb: ModuleType) -> None:
        self.pb = pb
        self.error: Exception | None = None
        self.callers: list[Caller] = []

    async def Weigh(self, request: Message, _: Context) -> Message:  # noqa: N802 -- gRPC's name
        self.callers.append(context.caller())
        if self.error is not None:
            raise self.error
        return self.pb.Weight(grams=request.grams)

    async def Watch(self, request: Message, _: Context) -> AsyncIterator[Message]:  # noqa: N802
        yield self.pb.Weight(grams=1)
        if self.error is not None:
            raise self.error
        yield self.pb.Weight(grams=2)

    async def Peek(self, request: Message, _: Context) -> Message:  # noqa: N802
        self.callers.append(context.caller())
        return self.pb.Weight(grams=3)


@pytest.fixture
def scales(pb: ModuleType) -> Scales:
    return Scales(pb)


@pytest.fixture
async def stub(service: Service, scales: Scales, pb_grpc: ModuleType) -> AsyncIterator[Message]:
    service.grpc(pb_grpc.add_ProbeServiceServicer_to_server, scales)
    await service.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield pb_grpc.ProbeServiceStub(channel)


@pytest.fixture
def request_(pb: ModuleType) -> Message:
    return pb.WeighRequest(
        request_id="key-00000001",
        short_title="crate",
        kind=1,
        marks=["a", "b"],
        main_part=pb.Part(part_number="p1"),
        grams=7,
    )


def bearer(token: str, **more: str) -> tuple[tuple[str, str], ...]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return (("authorization", f"Bearer {token}"), *named.items())


async def test_a_known_caller_is_answered(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    answer = await stub.Weigh(request_, metadata=bearer(issuer.token(tenant="acme")))

    assert answer.grams == 7
    assert [(caller.subject, caller.tenant) for caller in scales.callers] == [("user-1", "acme")]


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_refusal_reaches_the_client_with_reason_facts_and_fields(
    kind: type[DomainError], stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    broken = type("ScalesBusy", (kind,), {})
    scales.error = broken("somebody is on it", violations=[Violation("/grams", "is wet")], by="j-1")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.token()))

    assert problem_of(raised.value) == (
        kind,
        "SCALES_BUSY",
        "somebody is on it",
        {"by": "j-1"},
        (Violation("/grams", "is wet"),),
    )


async def test_a_bug_tells_nothing_but_the_correlation(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    scales.error = ZeroDivisionError("secret arithmetic")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.token(), bayline_correlation_id="c-1"))

    assert problem_of(raised.value) == (Internal, "INTERNAL", "internal error", {}, ())
    assert dict(raised.value.trailing_metadata() or ())["bayline-correlation-id"] == "c-1"


async def test_a_database_that_is_away_is_a_trouble_that_passes(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    scales.error = psycopg.OperationalError("connection to 10.0.0.1 refused")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.token()))

    problem = problem_of(raised.value)
    assert (problem.kind, problem.reason) == (kinds.Unavailable, "DATABASE_UNAVAILABLE")
    assert "10.0.0.1" not in problem.message


@pytest.mark.parametrize(
    ("refusal", "level"),
    [
        (kinds.Damaged("event 4 cannot be read"), "error"),
        (kinds.Outdated("a newer release wrote to it"), "warning"),
        (kinds.RuleViolated("not now"), "info"),
    ],
)
async def test_what_only_an_operator_can_mend_stands_out_in_the_log(
    stub: Stub,
    scales: Scales,
    request_: Message,
    issuer: Issuer,
    refusal: kinds.DomainError,
    level: str,
) -> None:
    scales.error = refusal

    with capture_logs() as said, pytest.raises(grpc.aio.AioRpcError):
        await stub.Weigh(request_, metadata=bearer(issuer.token()))

    assert [line["log_level"] for line in said if line["event"] == "call_refused"] == [level]


async def test_a_stream_that_breaks_says_why(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    scales.error = kinds.Unavailable("the scales fell over")
    call = stub.Watch(request_, metadata=bearer(issuer.token()))

    assert (await call.read()).grams == 1
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert problem_of(raised.value).message == "the scales fell over"


async def test_nobody_is_answered_without_a_token(
    stub: Stub, scales: Scales, request_: Message
) -> None:
    for call in (stub.Weigh(request_), stub.Peek(scales.pb.PeekRequest())):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert problem_of(raised.value).reason == "TOKEN_MISSING"
    assert scales.callers == []


async def test_a_role_without_a_policy_is_denied(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.token(roles=["driver"])))

    assert problem_of(raised.value).reason == "PERMISSION_DENIED"
    assert scales.callers == []


async def test_an_internal_method_is_for_services_only(
    stub: Stub, scales: Scales, issuer: Issuer
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Peek(scales.pb.PeekRequest(), metadata=bearer(issuer.token()))
    answer = await stub.Peek(
        scales.pb.PeekRequest(), metadata=bearer(issuer.workload_token("vehicle"))
    )

    assert problem_of(raised.value).reason == "WORKLOAD_REQUIRED"
    assert answer.grams == 3


async def test_only_a_service_may_name_a_tenant(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    await stub.Weigh(request_, metadata=bearer(issuer.token(tenant="acme"), bayline_tenant="other"))
    await stub.Weigh(
        request_, metadata=bearer(issuer.workload_token("vehicle"), bayline_tenant="other")
    )
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.workload_token("vehicle")))

    assert [caller.tenant for caller in scales.callers] == ["acme", "other"]
    assert problem_of(raised.value).reason == "TENANT_MISSING"


async def test_every_wrong_field_is_named_at_once(
    stub: Stub, scales: Scales, issuer: Issuer
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(scales.pb.WeighRequest(), metadata=bearer(issuer.token()))

    problem = problem_of(raised.value)
    assert problem.reason == "REQUEST_INVALID"
    assert [violation.pointer for violation in problem.violations] == [
        "/shortTitle",
        "/kind",
        "/marks",
        "/mainPart",
    ]


async def test_health_answers_without_a_token(service: Service, stub: Stub) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 -- only here

    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="bayline.probe.v1.ProbeService")
        )

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_reader_waits_for_what_it_has_seen(
    service: Service, stub: Stub, request_: Message, issuer: Issuer
) -> None:
    asked: list[Place] = []

    async def wait(places: Sequence[Place], deadline: float) -> bool:
        asked.extend(places)
        return deadline > asyncio.get_running_loop().time()

    service.waits(wait)
    place = Place("bayline.probe.v1.ProbeEvent", 7, 42)
    after = service.seals.seal_places("acme", [place])

    await stub.Weigh(request_, metadata=bearer(issuer.token(), bayline_after=after))

    assert asked == [place]


async def test_a_reader_is_sent_away_when_it_would_see_the_past(
    service: Service, stub: Stub, request_: Message, issuer: Issuer
) -> None:
    async def never(places: Sequence[Place], deadline: float) -> bool:
        return False

    service.waits(never)
    after = service.seals.seal_places("acme", [Place("log", 1, 1)])

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.token(), bayline_after=after))

    assert problem_of(raised.value)[:2] == (kinds.Unavailable, "FACTS_NOT_YET_KNOWN")


async def test_a_position_of_another_tenant_is_unreadable(
    service: Service, stub: Stub, request_: Message, issuer: Issuer
) -> None:
    after = service.seals.seal_places("other", [Place("log", 1, 1)])

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.token(), bayline_after=after))

    assert problem_of(raised.value).reason == "POSITION_UNREADABLE"
