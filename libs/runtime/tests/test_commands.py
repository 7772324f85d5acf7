from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, TypeAlias

import grpc
import pytest

from eventstore.store import Metadata
from runtime import commands
from runtime.errors import problem_of
from runtime.positions import Place
from runtime.service import Service
from testkit.tokens import Issuer

Stub: TypeAlias = Any  # compiled while the tests run: no checker can know it
Message: TypeAlias = Any
Context: TypeAlias = Any

MONDAY_8AM = datetime(2026, 11, 23, 8, 0, 0, 250_000, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Appended:
    version: int
    position: Place
    replayed: bool


class Scales:
    """Notes the metadata of each command; answers the second one as a repetition."""

    Watch = Peek = None  # not called here

    def __init__(self, pb: ModuleType) -> None:
        self.pb = pb
        self.seen: list[Metadata] = []

    async def Weigh(self, request: Message, context: Context) -> Message:  # noqa: N802 -- gRPC's name
        self.seen.append(commands.metadata_of(request, context))
        place = Place("bayline.probe.v1.ProbeEvent", 5, 17)
        commands.answer(context, Appended(3, place, replayed=len(self.seen) > 1))
        return self.pb.Weight()


@pytest.fixture
def scales(pb: ModuleType) -> Scales:
    return Scales(pb)


@pytest.fixture
async def stub(service: Service, scales: Scales, pb_grpc: ModuleType) -> AsyncIterator[Stub]:
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
    )


def bearer(token: str, **more: str) -> tuple[tuple[str, str], ...]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return (("authorization", f"Bearer {token}"), *named.items())


async def test_a_command_carries_who_when_and_why(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    request_.etag = "12"
    request_.occurred_at.FromDatetime(MONDAY_8AM)

    await stub.Weigh(
        request_,
        metadata=bearer(
            issuer.token(tenant="acme", subject="user-7"),
            bayline_correlation_id="correlation-1",
            traceparent=TRACE,
        ),
    )

    (metadata,) = scales.seen
    assert metadata == Metadata(
        tenant="acme",
        actor="user-7",
        request_id="key-00000001",
        fingerprint=metadata.fingerprint,
        correlation_id="correlation-1",
        causation_id="key-00000001",
        occurred_at=MONDAY_8AM,
        expected_version=12,
        traceparent=TRACE,
    )
    assert len(metadata.fingerprint) == 32


async def test_a_command_without_a_time_happened_now(
    service: Service, stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    before = service.clock.now()

    await stub.Weigh(request_, metadata=bearer(issuer.token()))

    (metadata,) = scales.seen
    assert before <= metadata.occurred_at <= service.clock.now()
    assert metadata.expected_version is None


async def test_an_answer_carries_where_it_stands_and_whether_it_was_given_before(
    service: Service, stub: Stub, request_: Message, issuer: Issuer
) -> None:
    first = stub.Weigh(request_, metadata=bearer(issuer.token()))
    told = dict(await first.trailing_metadata())
    again = stub.Weigh(request_, metadata=bearer(issuer.token()))

    assert told["bayline-version"] == "3"
    assert "bayline-replayed" not in told
    assert service.seals.open_places("acme", told["bayline-position"]) == (
        Place("bayline.probe.v1.ProbeEvent", 5, 17),
    )
    assert dict(await again.trailing_metadata())["bayline-replayed"] == "true"


@pytest.mark.parametrize(
    ("field", "value", "reason", "pointer"),
    [
        ("request_id", "", "IDEMPOTENCY_KEY_REQUIRED", "/requestId"),
        ("request_id", "short", "IDEMPOTENCY_KEY_INVALID", "/requestId"),
        ("request_id", "with a blank", "IDEMPOTENCY_KEY_INVALID", "/requestId"),
        ("request_id", "k" * 129, "IDEMPOTENCY_KEY_INVALID", "/requestId"),
        ("etag", '"7"', "ETAG_INVALID", "/etag"),
        ("etag", "-1", "ETAG_INVALID", "/etag"),
        ("etag", "9" * 30, "ETAG_INVALID", "/etag"),
    ],
)
async def test_a_wrong_key_or_version_is_refused_by_name(
    field: str, value: str, reason: str, pointer: str, stub: Stub, request_: Message, issuer: Issuer
) -> None:
    setattr(request_, field, value)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Weigh(request_, metadata=bearer(issuer.token()))

    problem = problem_of(raised.value)
    assert (problem.reason, problem.violations[0].pointer) == (reason, pointer)


async def test_a_fingerprint_tells_tenant_subject_and_content_apart_but_not_the_key(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    mine = bearer(issuer.token(subject="user-1"))
    await stub.Weigh(request_, metadata=mine)
    request_.request_id = "key-00000002"
    await stub.Weigh(request_, metadata=mine)
    await stub.Weigh(request_, metadata=bearer(issuer.token(subject="user-2")))
    await stub.Weigh(request_, metadata=bearer(issuer.token(subject="user-1", tenant="other")))
    request_.grams = 1
    await stub.Weigh(request_, metadata=mine)

    first, *others = [metadata.fingerprint for metadata in scales.seen]
    assert others[0] == first
    assert len({first, *others[1:]}) == 4


async def test_a_service_says_which_event_caused_the_command(
    stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    named = {"bayline_tenant": "acme", "bayline_causation_id": "event-1"}

    await stub.Weigh(request_, metadata=bearer(issuer.workload_token("vehicle"), **named))
    await stub.Weigh(request_, metadata=bearer(issuer.token(), **named))

    assert [metadata.causation_id for metadata in scales.seen] == ["event-1", "key-00000001"]


@pytest.mark.parametrize("given", ["", "with blank", "x" * 65, "line;break"])
async def test_a_correlation_that_is_no_id_is_replaced(
    given: str, stub: Stub, scales: Scales, request_: Message, issuer: Issuer
) -> None:
    await stub.Weigh(request_, metadata=bearer(issuer.token(), bayline_correlation_id=given))

    assert scales.seen[0].correlation_id not in ("", given)
