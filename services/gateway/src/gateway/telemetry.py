"""Rate, errors and duration of requests, and the trace that goes on into the services."""

import time
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.telemetry import W3C, current_traceparent
from transcoding import headers as http
from transcoding.handlers import Metadata


def forwarded(headers: http.Headers) -> Metadata:
    """What a service reads; its trace is a child of this request's span where there is one."""
    found = dict(http.forwarded(headers))
    if traceparent := current_traceparent():
        found["traceparent"] = traceparent
    return list(found.items())


class Measured:
    """Records `http.server.request.duration` by route, so that ids never become labels."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._duration = metrics.get_meter("bayline.gateway").create_histogram(
            "http.server.request.duration", unit="s"
        )
        self._tracer = trace.get_tracer("bayline.gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, answered = time.perf_counter(), 500, False

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
                    raise
                # Starlette raises a bug again after its problem was logged and sent.
            finally:
                route = _route(scope)
                span.update_name(f"{scope['method']} {route}")
                if status >= 500:
                    span.set_status(Status(StatusCode.ERROR))
                attributes = _attributes(scope["method"], route, status)
                self._duration.record(time.perf_counter() - began, attributes)

    def _span(self, scope: Scope) -> AbstractContextManager[Span]:
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        return self._tracer.start_as_current_span(
            scope["method"], W3C.extract(carrier), kind=SpanKind.SERVER, record_exception=False
        )


def _route(scope: Scope) -> str:
    endpoint: Any = scope.get("endpoint")
    binding = getattr(endpoint, "binding", None)
    return str(binding.path) if binding is not None else "other"


@cache
def _attributes(method: str, route: str, status: int) -> dict[str, str | int]:
    return {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
    }
