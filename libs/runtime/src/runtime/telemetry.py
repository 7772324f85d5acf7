"""OpenTelemetry: metrics for Prometheus always, traces by OTLP where an endpoint is set."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from runtime.admin import release_of
from runtime.context import Call
from runtime.settings import ServiceSettings

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
FLUSH_SECONDS = 0.5
MOST_LINKS = 512  # a batch belongs to the traces of all its events
FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
W3C = TraceContextTextMapPropagator()


class Telemetry:
    """What a process reports; entered at start, flushed at the end."""

    def __init__(self, settings: ServiceSettings) -> None:
        resource = Resource.create(
            {"service.name": settings.service(), "service.version": version_of(settings)}
        )
        self._meters = MeterProvider(
            [PrometheusMetricReader(scope_info_enabled=False)],
            resource=resource,
            exemplar_filter=AlwaysOffExemplarFilter(),  # the exporter for Prometheus drops them
        )
        self._tracers = _tracers(settings, resource) if settings.otlp_endpoint else None
        metrics.set_meter_provider(self._meters)
        if self._tracers is not None:
            trace.set_tracer_provider(self._tracers)

    @property
    def traces(self) -> bool:
        return self._tracers is not None

    def shutdown(self) -> None:
        """Sends what is left, but a collector that is away holds nobody up."""
        if self._tracers is not None:
            flush = threading.Thread(target=self._tracers.shutdown, daemon=True)
            flush.start()
            flush.join(FLUSH_SECONDS)
        self._meters.shutdown()


def _tracers(settings: ServiceSettings, resource: Resource) -> TracerProvider:
    """Whoever began a trace decided whether it is sampled; we decide for those we begin."""
    provider = TracerProvider(
        sampler=ParentBased(_Rooted(settings.telemetry.sampling_ratio)),
        resource=resource,
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_links=MOST_LINKS),
    )
    exporter = OTLPSpanExporter(f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class _Rooted(Sampler):
    """A span without a parent: of a batch, always, since it links to sampled traces only."""

    def __init__(self, ratio: float) -> None:
        self._ratio = TraceIdRatioBased(ratio)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        sampler = ALWAYS_ON if links else self._ratio
        return sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return f"Rooted{{{self._ratio.get_description()}}}"


def version_of(settings: ServiceSettings) -> str:
    """The package's, and where a build says which it is, that too: `1.4.0+3f2a9c1`."""
    build = settings.telemetry.build
    known = build not in {"", "unknown"}
    return release_of(settings.service()) + (f"+{build}" if known else "")


class CallMeters:
    """Rate, errors and duration of each method; attributes are made once per method and outcome."""

    def __init__(self) -> None:
        meter = metrics.get_meter("bayline.runtime")
        self._calls = meter.create_histogram(
            "rpc.server.call.duration",
            unit="s",
            description="gRPC calls answered, refusals too",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._commands = meter.create_histogram(
            "bayline.command.duration",
            unit="s",
            description="commands, by what became of them",
            explicit_bucket_boundaries_advisory=SECONDS,
        )

    def record(self, method: str, *, command: bool, code: str, outcome: str, began: float) -> None:
        seconds = time.perf_counter() - began
        self._calls.record(seconds, _call_attributes(method, code))
        if command:
            self._commands.record(seconds, _command_attributes(method, outcome))


@cache
def _call_attributes(method: str, code: str) -> Mapping[str, str]:
    return {"rpc.system.name": "grpc", "rpc.method": method.lstrip("/")} | _outcome(code)


def _outcome(code: str) -> dict[str, str]:
    """Only what is our fault is an error; a refusal is an answer."""
    failed = {"error.type": code} if code in FAULTS else {}
    return {"rpc.response.status_code": code} | failed


@cache
def _command_attributes(method: str, outcome: str) -> Mapping[str, str]:
    return {"command": method.rpartition("/")[2], "outcome": outcome}


@contextmanager
def serving(call: Call, traceparent: str) -> Iterator[None]:
    """A server span that continues the caller's trace; the call passes it on."""
    method = call.method.lstrip("/")
    with trace.get_tracer("bayline.runtime").start_as_current_span(
        method,
        W3C.extract({"traceparent": traceparent} if traceparent else {}),
        kind=SpanKind.SERVER,
        attributes={"rpc.system.name": "grpc", "rpc.method": method},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        call.traceparent = traceparent_of(span)
        try:
            yield
        finally:
            _conclude(span, call.code)


def _conclude(span: Span, code: str) -> None:
    span.set_attributes(_outcome(code))
    if code in FAULTS:
        span.set_status(Status(StatusCode.ERROR))


@contextmanager
def untraced(call: Call, traceparent: str) -> Iterator[None]:
    """No span; what the caller said of its trace goes on as it came."""
    call.traceparent = traceparent
    yield


def traceparent_of(span: Span) -> str:
    context = span.get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def current_traceparent() -> str:
    return traceparent_of(trace.get_current_span())
