"""What a trace shows of the store: the calls of its procedures."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from psycopg import Error

NOTHING = nullcontext()

_TRACER = trace.get_tracer("bayline.eventstore")


def calling(procedure: str, log: str) -> AbstractContextManager[None]:
    """A span where the command is traced, else nothing at all."""
    return _span(procedure, log) if trace.get_current_span().is_recording() else NOTHING


@contextmanager
def _span(procedure: str, log: str) -> Iterator[None]:
    with _TRACER.start_as_current_span(
        procedure,
        kind=SpanKind.CLIENT,
        attributes={
            "db.system.name": "postgresql",
            "db.stored_procedure.name": procedure,
            "bayline.log": log,
        },
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Error as error:
            _conclude(span, error)
            raise


def _conclude(span: Span, error: Error) -> None:
    """ES409, ES422 and ES423 are answers: somebody was faster, or has what was asked for."""
    code = error.sqlstate or type(error).__name__
    span.set_attribute("db.response.status_code", code)
    if not code.startswith("ES"):
        span.set_attribute("error.type", code)
        span.set_status(Status(StatusCode.ERROR))
