"""A collector of spans in this process: OTLP over HTTP in, lists out."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

Value: TypeAlias = str | int | float | bool

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """A finished span as it arrived, ids in hex."""

    service: str
    name: str
    kind: str  # SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL
    trace_id: str
    span_id: str
    parent_id: str
    links: frozenset[str]  # the traces it links to
    attributes: Mapping[str, Value]
    failed: bool
    started_at: int
    raw: bytes

    @property
    def traces(self) -> frozenset[str]:
        """Its own trace and those it belongs to by a link."""
        return self.links | {self.trace_id}


class Collector(ThreadingHTTPServer):
    """`endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT names."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.spans: list[Seen] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def wait(self, until: Callable[[list[Seen]], bool], seconds: float = 30) -> list[Seen]:
        """Everything received, as soon as `until` is true of it, in the order of their starts."""
        deadline = time.monotonic() + seconds
        while not until(self.spans) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return sorted(self.spans, key=lambda span: span.started_at)


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = str(_values(resource.resource.attributes)["service.name"])
            for scope in resource.scope_spans:
                self.server.spans.extend(_seen(service, span) for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """A test that fails shows the failure itself."""


def _seen(service: str, span: trace_pb2.Span) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=frozenset(link.trace_id.hex() for link in span.links),
        attributes=_values(span.attributes),
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        started_at=span.start_time_unix_nano,
        raw=span.SerializeToString(),
    )


def _values(attributes: Iterable[KeyValue]) -> Mapping[str, Value]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: AnyValue) -> Value:
    found: Value = getattr(value, str(value.WhichOneof("value")))
    return found
