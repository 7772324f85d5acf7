"""What the relay and the consumers report.

| name | kind | unit | attributes |
|---|---|---|---|
| `publish` | span, producer | | `bayline.log`, `bayline.records` |
| `consume <record>` | span, consumer | | `bayline.consumer`, `bayline.records` |
| `bayline.outbox.age` | gauge | s | `bayline.log`: age of the oldest event not yet in Kafka |
| `bayline.consumer.lag` | gauge | {record} | `bayline.consumer`: records in Kafka not yet applied |
| `bayline.consumer.lag.time` | gauge | s | `bayline.consumer`: age of the last applied event, 0 without lag |
| `bayline.projection.delay` | histogram | s | `bayline.consumer`: from the store to the read model |
| `bayline.consumer.parked` | counter | {event} | `bayline.consumer` |
| `bayline.consumer.unknown` | counter | {event} | `bayline.consumer`: skipped, a rebuild is needed |

One event continues the trace of its command; several events link to theirs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging.envelope import Envelope

MAX_LINKS = 32

TRACER = trace.get_tracer("bayline.messaging")
_METER = metrics.get_meter("bayline.messaging")
_W3C = TraceContextTextMapPropagator()

OUTBOX_AGE = _METER.create_gauge("bayline.outbox.age", unit="s")
LAG = _METER.create_gauge("bayline.consumer.lag", unit="{record}")
LAG_TIME = _METER.create_gauge("bayline.consumer.lag.time", unit="s")
DELAY = _METER.create_histogram(
    "bayline.projection.delay",
    unit="s",
    explicit_bucket_boundaries_advisory=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5, 1, 5, 30, 300),
)
PARKED = _METER.create_counter("bayline.consumer.parked", unit="{event}")
UNKNOWN = _METER.create_counter("bayline.consumer.unknown", unit="{event}")


@contextmanager
def consuming(consumer: str, envelopes: Sequence[Envelope]) -> Iterator[Span]:
    name = envelopes[0].topic.rpartition(".")[2] if envelopes else "nothing"
    alone = len(envelopes) == 1
    with TRACER.start_as_current_span(
        f"consume {name}",
        _context(envelopes[0]) if alone else Context(),
        kind=SpanKind.CONSUMER,
        links=None if alone else [_link(each) for each in envelopes[:MAX_LINKS]],
        attributes={"bayline.consumer": consumer, "bayline.records": len(envelopes)},
    ) as span:
        yield span


def _context(envelope: Envelope) -> Context:
    return _W3C.extract({"traceparent": envelope.traceparent}, Context())


def _link(envelope: Envelope) -> Link:
    return Link(trace.get_current_span(_context(envelope)).get_span_context())
