"""What the relay and the consumers report; docs/telemetry.md says what each is for.

One event continues the trace of its command. Several events have a span of their own, which links
to the traces of all that are sampled; it is one trace more, and a sampled trace is never lost in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from messaging.envelope import Envelope

SAMPLED = tuple("13579bdf")  # the last bit of a traceparent
NOTHING = nullcontext()

_TRACER = trace.get_tracer("bayline.messaging")
_METER = metrics.get_meter("bayline.messaging")
_W3C = TraceContextTextMapPropagator()

OUTBOX_AGE = _METER.create_gauge(
    "bayline.outbox.age", unit="s", description="age of the oldest event that is not in Kafka yet"
)
LAG = _METER.create_gauge(
    "bayline.consumer.lag", unit="{record}", description="records in Kafka that are not applied yet"
)
LAG_TIME = _METER.create_gauge(
    "bayline.consumer.lag.time",
    unit="s",
    description="age of the last applied event; 0 where nothing waits",
)
DELAY = _METER.create_histogram(
    "bayline.projection.delay",
    unit="s",
    description="from the store to the read model",
    explicit_bucket_boundaries_advisory=(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5, 1, 5, 30, 300),
)
PARKED = _METER.create_counter(
    "bayline.consumer.parked", unit="{event}", description="events that could not be applied"
)
UNKNOWN = _METER.create_counter(
    "bayline.consumer.unknown",
    unit="{event}",
    description="events of a kind that this release does not know",
)
UNPUBLISHED = _METER.create_gauge(
    "bayline.dlq.unpublished", unit="{event}", description="parked, and not yet in its .dlq topic"
)


def publishing(envelopes: Sequence[Envelope]) -> AbstractContextManager[None]:
    operation = {"messaging.operation.name": "publish", "messaging.operation.type": "send"}
    return _handling(envelopes, SpanKind.PRODUCER, operation)


def consuming(consumer: str, envelopes: Sequence[Envelope]) -> AbstractContextManager[None]:
    operation = {
        "messaging.operation.name": "consume",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": consumer,
    }
    return _handling(envelopes, SpanKind.CONSUMER, operation)


def traced(envelopes: Sequence[Envelope]) -> Sequence[Envelope]:
    """Those whose commands are sampled; none where there is nowhere to send spans to."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return ()
    return [envelope for envelope in envelopes if envelope.traceparent.endswith(SAMPLED)]


def context_of(envelope: Envelope) -> Context:
    return _W3C.extract({"traceparent": envelope.traceparent}, Context())


def attributes_of(envelope: Envelope) -> Mapping[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": envelope.topic,
        "messaging.destination.partition.id": str(envelope.partition),
        "messaging.message.id": envelope.event_id,
    }


def _handling(
    envelopes: Sequence[Envelope], kind: SpanKind, operation: Mapping[str, str]
) -> AbstractContextManager[None]:
    followed = traced(envelopes)
    if not followed:
        return NOTHING
    if len(envelopes) == 1:
        [event] = followed
        return _span(kind, context_of(event), (), {**attributes_of(event), **operation})
    links = [_link(event) for event in followed]
    return _span(kind, Context(), links, {**_batch(envelopes), **operation})


def _batch(envelopes: Sequence[Envelope]) -> dict[str, str | int]:
    """A consumer of several topics gets them mixed: then the batch has no destination."""
    batch: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.batch.message_count": len(envelopes),
    }
    topics = {envelope.topic for envelope in envelopes}
    return batch | {"messaging.destination.name": topics.pop()} if len(topics) == 1 else batch


@contextmanager
def _span(
    kind: SpanKind, parent: Context, links: Sequence[Link], attributes: Mapping[str, str | int]
) -> Iterator[None]:
    """Of an error its kind is told, not its words: they may quote what is personal."""
    parts = ("messaging.operation.name", "messaging.destination.name")
    name = " ".join(str(attributes[part]) for part in parts if part in attributes)
    with _TRACER.start_as_current_span(
        name,
        parent,
        kind=kind,
        links=links,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise


def _link(envelope: Envelope) -> Link:
    return Link(trace.get_current_span(context_of(envelope)).get_span_context())
