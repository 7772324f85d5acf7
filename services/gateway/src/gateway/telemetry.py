"""Rate, errors and duration of requests, and the trace that goes on into services and streams."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext
from functools import cache
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message as ProtoMessage
from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel.clock import Clock
from messaging.envelope import Envelope
from messaging.telemetry import attributes_of, context_of, traced
from runtime.telemetry import SECONDS, W3C, traceparent_of
from transcoding.handlers import Handler, Metadata
from transcoding.streams import Told

METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
LEFT = 499  # the client went before it was answered
UNTRACED: AbstractContextManager[None] = nullcontext()

_TRACER = trace.get_tracer("bayline.gateway")
_METER = metrics.get_meter("bayline.gateway")
_DURATION = _METER.create_histogram(
    "http.server.request.duration",
    unit="s",
    description="requests answered, streams until they end",
    explicit_bucket_boundaries_advisory=SECONDS,
)
_DELAY = _METER.create_histogram(
    "bayline.stream.delay",
    unit="s",
    description="from the store to a live reader, who has taken the frame",
    explicit_bucket_boundaries_advisory=(0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5, 1, 5, 30),
)

_MALFORMED = _METER.create_counter(
    "bayline.live.malformed",
    unit="{record}",
    description="records of a topic that the live tail could not read and left out",
)


class Measured:
    """Records each request by its route, so that ids and what people type never become labels."""

    def __init__(self, app: ASGIApp, *, traces: bool) -> None:
        self._app, self._traces = app, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, answered = time.perf_counter(), LEFT, False

        async def noted(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
            await send(message)

        with self._span(scope) as span:
            try:
                await self._app(scope, receive, noted)
            except Exception:
                if not answered:
                    status = 500
                    raise
                # Starlette raises a bug again after its problem was logged and sent.
            finally:
                attributes = _attributes(_method(scope), _route(scope), _scheme(scope), status)
                _DURATION.record(time.perf_counter() - began, attributes)
                if span is not None:
                    _conclude(span, attributes)

    def _span(self, scope: Scope) -> AbstractContextManager[Span | None]:
        """Of what belongs to the API: whoever probes or scrapes makes no traces."""
        if not (self._traces and scope["path"].startswith("/v1/")):
            return UNTRACED
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        return _TRACER.start_as_current_span(
            _method(scope),
            W3C.extract(carrier),
            kind=SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        )


def _conclude(span: Span, attributes: Mapping[str, str | int]) -> None:
    """`url.path` is the route: what a caller typed into a path may be anything."""
    span.set_attributes(attributes)
    if route := attributes.get("http.route"):
        span.update_name(f"{attributes['http.request.method']} {route}")
        span.set_attribute("url.path", route)
    if "error.type" in attributes:
        span.set_status(Status(StatusCode.ERROR))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "_OTHER"


def _route(scope: Scope) -> str:
    endpoint: Any = scope.get("endpoint")
    binding = getattr(endpoint, "binding", None)
    return str(binding.path) if binding is not None else ""


def _scheme(scope: Scope) -> str:
    return str(scope.get("scheme", "http"))


@cache
def _attributes(method: str, route: str, scheme: str, status: int) -> Mapping[str, str | int]:
    routed = {"http.route": route} if route else {}
    failed = {"error.type": str(status)} if status >= 500 else {}
    asked: dict[str, str | int] = {"http.request.method": method, "url.scheme": scheme}
    return asked | routed | {"http.response.status_code": status} | failed


class Traced:
    """A span for each call; its context goes to the service in place of the request's."""

    def __init__(self, peer: Handler, address: str) -> None:
        self._peer = peer
        host, _, port = address.rpartition(":")
        self._address: dict[str, str | int] = {"server.address": host, "server.port": int(port)}

    async def unary(
        self, method: MethodDescriptor, request: ProtoMessage, metadata: Metadata
    ) -> tuple[ProtoMessage, Metadata]:
        with self._calling(method) as span:
            return await self._peer.unary(method, request, _carrying(metadata, span))

    async def stream(
        self, method: MethodDescriptor, request: ProtoMessage, metadata: Metadata
    ) -> AsyncIterator[Told]:
        with self._calling(method) as span:
            messages = self._peer.stream(method, request, _carrying(metadata, span))
            async with aclosing(messages):  # type: ignore[type-var]  # a generator, as the port says
                async for message in messages:
                    yield message

    @contextmanager
    def _calling(self, method: MethodDescriptor) -> Iterator[Span]:
        """Not made current: a stream is left in another context than it was entered in."""
        name = f"{method.containing_service.full_name}/{method.name}"
        attributes = self._address | {"rpc.system.name": "grpc", "rpc.method": name}
        span = _TRACER.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        code = grpc.StatusCode.OK.name
        try:
            yield span
        except grpc.RpcError as error:
            code = error.code().name
            span.set_attribute("error.type", code)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.set_attribute("rpc.response.status_code", code)
            span.end()


def _carrying(metadata: Metadata, span: Span) -> Metadata:
    return list((dict(metadata) | {"traceparent": traceparent_of(span)}).items())


def malformed(topic: str, records: int = 1) -> None:
    _MALFORMED.add(records, {"bayline.log": topic})


@contextmanager
def delivering(envelope: Envelope, clock: Clock) -> Iterator[None]:
    """Around handing an event to one reader: done when the reader has taken it."""
    span = _delivery(envelope) if traced([envelope]) else None
    try:
        yield
        _DELAY.record(max(0.0, (clock.now() - envelope.recorded_at).total_seconds()))
    finally:
        if span is not None:
            span.end()


def _delivery(envelope: Envelope) -> Span:
    operation = {"messaging.operation.name": "deliver", "messaging.operation.type": "process"}
    return _TRACER.start_span(
        f"deliver {envelope.topic}",
        context_of(envelope),
        kind=SpanKind.CONSUMER,
        attributes={**attributes_of(envelope), **operation},
    )
