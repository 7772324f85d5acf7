"""What the relay and the consumers report; docs/telemetry.md says what each is for.

One event continues the trace of its command. Several events have a span of their own, which links
to the traces of all that are sampled; it is one trace more, and a sampled trace is never lost in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import TypeAlias

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kernel.clock import Clock
from messaging.envelope import Envelope

SAMPLED = tuple("13579bdf")  # the last bit of a traceparent
NOTHING = nullcontext()

Read: TypeAlias = Callable[[], float]

_TRACER = trace.get_tracer("bayline.messaging")
_METER = metrics.get_meter("bayline.messaging")
_W3C = TraceContextTextMapPropagator()


class Gauge:
    """Worked out whenever somebody scrapes: it moves though nobody answers who could set it."""

    def __init__(self, name: str, label: str, *, unit: str, description: str) -> None:
        self._label = label
        self._read: dict[str, Read] = {}
        _METER.create_observable_gauge(name, [self._observe], unit=unit, description=description)

    def watch(self, of: str, read: Read) -> None:
        self._read[of] = read

    def set(self, of: str, value: float) -> None:
        self.watch(of, lambda: value)

    def now(self) -> Mapping[str, float]:
        return {of: float(read()) for of, read in self._read.items()}

    def _observe(self, _: CallbackOptions) -> Iterator[Observation]:
        for of, value in self.now().items():
            yield Observation(value, {self._label: of})


class Covered:
    """Up to when all is known to be done. What cannot be looked at counts as waiting: it ages."""

    def __init__(self, clock: Clock, grace: float) -> None:
        """`grace`: seconds between two looks."""
        self._clock, self._grace = clock, grace
        self._since, self._waits = clock.now(), False
        self._whole: datetime | None = None  # when nothing waited last

    def up_to(self, oldest: datetime | None) -> None:
        """What was recorded then, or later, waits; None: something does, nobody knows since when."""
        known = [at for at in (oldest, self._whole) if at]
        self._since, self._waits = max(known, default=self._since), True

    def wholly(self) -> None:
        self._whole = self._since = self._clock.now()
        self._waits = False

    def age(self) -> float:
        seconds = (self._clock.now() - self._since).total_seconds()
        return max(0.0, seconds) if self._waits or seconds > self._grace else 0.0


OUTBOX_AGE = Gauge(
    "bayline.outbox.age",
    "bayline.log",
    unit="s",
    description="age of the oldest event that may not be in Kafka yet",
)
RELAY_HALTED = Gauge(
    "bayline.relay.halted",
    "bayline.log",
    unit="{relay}",
    description="1 while a topic holds what the store has not",
)
LAG = Gauge(
    "bayline.consumer.lag",
    "bayline.consumer",
    unit="{record}",
    description="records in Kafka that are not applied yet, as far as Kafka said",
)
LAG_TIME = Gauge(
    "bayline.consumer.lag.time",
    "bayline.consumer",
    unit="s",
    description="age of the oldest event that may not be applied yet",
)
HALTED = Gauge(
    "bayline.consumer.halted",
    "bayline.consumer",
    unit="{consumer}",
    description="1 while it waits for a person to decide",
)
PARKED_NOW = Gauge(
    "bayline.consumer.parked.now",
    "bayline.consumer",
    unit="{event}",
    description="events that are parked now",
)
REBUILD_NEEDED = Gauge(
    "bayline.consumer.rebuild.needed",
    "bayline.consumer",
    unit="{event}",
    description="events that the read model passed over and lacks",
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
UNPUBLISHED = Gauge(
    "bayline.dlq.unpublished",
    "bayline.log",
    unit="{event}",
    description="parked, and not yet in its .dlq topic",
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
