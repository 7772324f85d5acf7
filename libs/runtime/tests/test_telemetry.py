import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import ModuleType
from typing import Any, TypeAlias

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import generate_latest

from runtime import context
from runtime.service import Service
from runtime.settings import ServiceSettings
from runtime.telemetry import Telemetry
from testkit.tokens import Issuer

Message: TypeAlias = Any  # compiled while the tests run: no checker can know it

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP, as a collector does."""

    spans: list[Span]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.spans = []


class Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.server.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def telemetry(settings: ServiceSettings, collector: Collector) -> Telemetry:
    """Made once: a process has one telemetry."""
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    return Telemetry(settings.model_copy(update={"otlp_endpoint": endpoint}))


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

    fine, broken = spans(collector, 2)
    assert {span.trace_id.hex() for span in (fine, broken)} == {TRACE_ID}
    assert {span.parent_span_id.hex() for span in (fine, broken)} == {PARENT}
    assert scales.traceparents == [f"00-{TRACE_ID}-{s.span_id.hex()}-01" for s in (fine, broken)]
    assert (fine.status.code, broken.status.code) == (0, 2)
    assert counted(measured, "rpc_server_duration", 'rpc_grpc_status_code="OK"')
    assert counted(measured, "rpc_server_duration", 'rpc_grpc_status_code="INTERNAL"')
    assert counted(measured, "bayline_command_duration", 'command="Weigh"', 'outcome="accepted"')
    assert counted(measured, "bayline_command_duration", 'command="Weigh"', 'outcome="internal"')
    assert "acme" not in measured


def counted(measured: str, name: str, *labels: str) -> bool:
    return any(
        line.startswith(name) and all(label in line for label in labels)
        for line in measured.splitlines()
    )


def spans(collector: Collector, count: int) -> list[Span]:
    deadline = time.monotonic() + 5
    while len(collector.spans) < count:
        assert time.monotonic() < deadline, "the spans did not arrive"
    return sorted(collector.spans, key=lambda span: span.start_time_unix_nano)
