from collections.abc import Iterator
from importlib.metadata import version
from types import ModuleType
from typing import Any, TypeAlias

import grpc
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import Link, SpanContext, TraceFlags
from prometheus_client import generate_latest

from runtime import context
from runtime.service import Service
from runtime.settings import ServiceSettings
from runtime.settings import Telemetry as Block
from runtime.telemetry import Telemetry, _tracers, version_of
from testkit.collector import Collector, collecting
from testkit.tokens import Issuer

Message: TypeAlias = Any  # compiled while the tests run: no checker can know it

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def telemetry(settings: ServiceSettings, collector: Collector) -> Telemetry:
    """Made once: a process has one telemetry."""
    return Telemetry(settings.model_copy(update={"otlp_endpoint": collector.endpoint}))


class Scales:
    Watch = Peek = None  # not called here

    def __init__(self, pb: ModuleType) -> None:
        self.pb = pb
        self.traceparents: list[str] = []

    async def Weigh(self, request: Message, _: object) -> Message:  # noqa: N802 -- gRPC's name
        self.traceparents.append(context.call().traceparent)
        if request.grams == 13:
            raise ZeroDivisionError
        return self.pb.Weight()


async def weigh(service: Service, pb_grpc: ModuleType, request: Message, token: str) -> None:
    metadata = (
        ("authorization", f"Bearer {token}"),
        ("traceparent", f"00-{TRACE_ID}-{PARENT}-01"),
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        await pb_grpc.ProbeServiceStub(channel).Weigh(request, metadata=metadata)


@pytest.fixture
def request_(pb: ModuleType) -> Message:
    part = pb.Part(part_number="p1")
    return pb.WeighRequest(short_title="crate", kind=1, marks=["a", "b"], main_part=part)


async def test_a_call_continues_its_callers_trace_and_counts(
    telemetry: Telemetry,
    traced: Service,
    collector: Collector,
    pb: ModuleType,
    pb_grpc: ModuleType,
    issuer: Issuer,
    request_: Message,
) -> None:
    scales = Scales(pb)
    traced.grpc(pb_grpc.add_ProbeServiceServicer_to_server, scales)
    await traced.start()
    await weigh(traced, pb_grpc, request_, issuer.token(tenant="acme"))
    request_.grams = 13
    with pytest.raises(grpc.aio.AioRpcError):
        await weigh(traced, pb_grpc, request_, issuer.token(tenant="acme"))
    await traced._grpc.stop(grace=5)
    measured = generate_latest().decode()
    telemetry.shutdown()

    fine, broken = collector.wait(lambda spans: len(spans) == 2)
    assert {span.trace_id for span in (fine, broken)} == {TRACE_ID}
    assert {span.parent_id for span in (fine, broken)} == {PARENT}
    assert scales.traceparents == [f"00-{TRACE_ID}-{s.span_id}-01" for s in (fine, broken)]
    assert (fine.failed, broken.failed) == (False, True)
    assert broken.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "bayline.probe.v1.ProbeService/Weigh",
        "rpc.response.status_code": "INTERNAL",
        "error.type": "INTERNAL",
    }
    assert counted(measured, "rpc_server_call_duration", 'rpc_response_status_code="OK"')
    assert counted(measured, "rpc_server_call_duration", 'rpc_response_status_code="INTERNAL"')
    assert counted(measured, "bayline_command_duration", 'command="Weigh"', 'outcome="accepted"')
    assert counted(measured, "bayline_command_duration", 'command="Weigh"', 'outcome="internal"')
    assert "acme" not in measured


def test_a_batch_is_kept_with_the_sampled_traces_it_links_to(settings: ServiceSettings) -> None:
    none_of_our_own = settings.telemetry.model_copy(update={"sampling_ratio": 0.0})
    quiet = settings.model_copy(update={"telemetry": none_of_our_own})
    tracer = _tracers(quiet, Resource.get_empty()).get_tracer("test")
    event = SpanContext(int(TRACE_ID, 16), int(PARENT, 16), True, TraceFlags(TraceFlags.SAMPLED))

    assert tracer.start_span("batch", links=[Link(event)]).is_recording()
    assert not tracer.start_span("begun here").is_recording()


@pytest.mark.parametrize(("build", "suffix"), [("unknown", ""), ("", ""), ("3f2a9c1", "+3f2a9c1")])
def test_a_process_says_which_release_it_is(build: str, suffix: str) -> None:
    class Settings(ServiceSettings, env_prefix="RUNTIME__"):
        pass

    settings = Settings.model_construct(telemetry=Block(build=build))

    assert version_of(settings) == version("bayline-runtime") + suffix


def counted(measured: str, name: str, *labels: str) -> bool:
    return any(
        line.startswith(name) and all(label in line for label in labels)
        for line in measured.splitlines()
    )
