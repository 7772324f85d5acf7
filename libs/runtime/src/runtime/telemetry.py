"""OpenTelemetry: metrics for Prometheus always, traces by OTLP where an endpoint is set."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime.settings import ServiceSettings

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
FLUSH_SECONDS = 0.5
W3C = TraceContextTextMapPropagator()


class Telemetry:
    """What a process reports; entered at start, flushed at the end."""

    def __init__(self, settings: ServiceSettings) -> None:
        resource = Resource.create(
            {"service.name": settings.service(), "service.version": settings.telemetry.build}
        )
        self._meters = MeterProvider(
            [PrometheusMetricReader()],
            resource=resource,
            views=[
                View(
                    instrument_name="*.duration",
                    aggregation=ExplicitBucketHistogramAggregation(SECONDS),
                )
            ],
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
    sampler = ParentBased(TraceIdRatioBased(settings.telemetry.sampling_ratio))
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class CallMeters:
    """Rate, errors and duration of each method; attributes are made once per method and outcome."""

    def __init__(self) -> None:
        meter = metrics.get_meter("bayline.runtime")
        self._calls = meter.create_histogram("rpc.server.duration", unit="s")
        self._commands = meter.create_histogram("bayline.command.duration", unit="s")

    def record(self, method: str, *, command: bool, code: str, outcome: str, began: float) -> None:
        seconds = time.perf_counter() - began
        self._calls.record(seconds, _call_attributes(method, code))
        if command:
            self._commands.record(seconds, _command_attributes(method, outcome))


@cache
def _call_attributes(method: str, code: str) -> Mapping[str, str]:
    service, _, name = method.lstrip("/").partition("/")
    return {"rpc.service": service, "rpc.method": name, "rpc.grpc.status_code": code}


@cache
def _command_attributes(method: str, outcome: str) -> Mapping[str, str]:
    return {"command": method.rpartition("/")[2], "outcome": outcome}


@contextmanager
def serving(method: str, traceparent: str) -> Iterator[str]:
    """A server span that continues the caller's trace; yields the traceparent to pass on."""
    tracer = trace.get_tracer("bayline.runtime")
    parent = _parent(traceparent)
    with tracer.start_as_current_span(
        method.lstrip("/"),
        parent,
        kind=SpanKind.SERVER,
        attributes={"rpc.system": "grpc"},
        record_exception=False,
        set_status_on_exception=False,
    ):
        yield current_traceparent() or traceparent


def mark_failed(reason: str) -> None:
    """Only what is our fault makes a server span an error; a refusal is an answer."""
    span = trace.get_current_span()
    span.set_attribute("error.type", reason)
    span.set_status(Status(StatusCode.ERROR))


def current_traceparent() -> str:
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    return carrier.get("traceparent", "")


def _parent(traceparent: str) -> Context:
    return W3C.extract({"traceparent": traceparent} if traceparent else {})
