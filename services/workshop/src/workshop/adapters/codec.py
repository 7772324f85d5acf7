"""Protobuf outside, dataclasses inside: events, commands and resources."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, get_args

from google.protobuf.message import Message

from assembly.selected import SelectedEvents
from bayline.event.v1.metadata_pb2 import Metadata as Meta
from bayline.technician.v1 import technician_pb2
from bayline.type.v1 import values_pb2
from bayline.vehicle.v1 import vehicle_pb2
from bayline.workshop.v1 import events_pb2, job_pb2, site_pb2
from bayline.workshop.v1 import workshop_service_pb2 as service_pb2
from eventstore import mapping
from eventstore.conversion import timestamp_of
from eventstore.mapping import Mapper, OneofCodec, UnknownCase
from eventstore.store import Metadata, Unread
from kernel.money import Money
from kernel.units import Distance, DistanceUnit, distance
from messaging.envelope import Undecodable
from runtime.identity import Caller
from workshop.application.facts import FleetEvent, RosterEvent
from workshop.application.ports import Known
from workshop.application.queries import CalendarEntry, JobFilter, JobSummary
from workshop.application.reading import Told
from workshop.domain.job.events import JobEvent, LabourStarted, WorkStarted
from workshop.domain.job.state import Invoice, Job, Line
from workshop.domain.site import Site, SiteEvent, SiteOpened, SiteRenamed
from workshop.domain.tenant import Settings, TenantEvent
from workshop.domain.values import Bay, JobId, SiteId, TechnicianId

C = TypeVar("C")
E = TypeVar("E")

JOB_EVENTS: OneofCodec[JobEvent] = OneofCodec(events_pb2.JobEvent, get_args(JobEvent))
SITE_EVENTS: OneofCodec[SiteEvent] = OneofCodec(site_pb2.SiteEvent, get_args(SiteEvent))
TENANT_EVENTS: OneofCodec[TenantEvent] = OneofCodec(site_pb2.TenantEvent, get_args(TenantEvent))


def job_event(type_name: str, data: bytes, version: int) -> JobEvent | None:
    """None for a case that this release does not know. Raises Undecodable."""
    try:
        return JOB_EVENTS.decode(type_name, data, version)
    except UnknownCase:
        return None
    except mapping.Undecodable as error:
        raise Undecodable(str(error)) from error


FLEET_EVENTS: SelectedEvents[FleetEvent] = SelectedEvents(
    vehicle_pb2.VehicleEvent, get_args(FleetEvent)
)
ROSTER_EVENTS: SelectedEvents[RosterEvent] = SelectedEvents(
    technician_pb2.TechnicianEvent, get_args(RosterEvent)
)


StartEvent: TypeAlias = WorkStarted | LabourStarted
SITE_TITLES: SelectedEvents[SiteOpened | SiteRenamed] = SelectedEvents(
    site_pb2.SiteEvent, (SiteOpened, SiteRenamed)
)
STARTS: SelectedEvents[StartEvent] = SelectedEvents(events_pb2.JobEvent, get_args(StartEvent))


@dataclass(frozen=True, slots=True)
class Reading:
    value: Decimal
    unit: DistanceUnit


READING = Mapper(values_pb2.Reading, Reading)
ENVELOPE = frozenset({"name", "request_id", "etag", "occurred_at"})
"""Fields of a request that stand around its command."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and what its command takes from elsewhere than its fields."""

    request: Any
    by: Caller
    metadata: Metadata

    def odometer(self) -> Distance:
        reading = READING.from_message(self.request.odometer)
        return distance(reading.value, reading.unit)


GIVEN: Mapping[str, Callable[[Asked], object]] = {
    "at": lambda asked: asked.metadata.occurred_at,
    "requester": lambda asked: asked.by.subject,
    "inspector": lambda asked: asked.by.subject,
    "inspector_technician": lambda asked: _technician(asked.by),
    "odometer": Asked.odometer,
}


class Command(Generic[C]):
    """Makes a command of the request of the same name; its free text belongs to `subject`."""

    def __init__(self, kind: type[C]) -> None:
        given = {field.name for field in fields(kind)} & GIVEN.keys()  # type: ignore[arg-type]  # a dataclass
        request = getattr(service_pb2, f"{kind.__name__}Request")
        there = set(request.DESCRIPTOR.fields_by_name)
        self._mapper = Mapper(request, kind, ignore=(ENVELOPE | given) & there, given=given)
        self._given = {name: GIVEN[name] for name in given}

    def read(self, request: Message, by: Caller, metadata: Metadata, subject: str = "") -> C:
        asked = Asked(request, by, metadata)
        given = {name: value(asked) for name, value in self._given.items()}
        return self._mapper.from_message(request, subject=subject, **given)


MONEY = Mapper(values_pb2.Money, Money)
LINE = Mapper(
    job_pb2.Line,
    Line,
    ignore={"net", "returned_from"},
    given={"visit", "labour_minor", "parts_minor", "from_job", "from_line", "invoiced"},
)
INVOICE = Mapper(
    job_pb2.Invoice,
    Invoice,
    ignore={"number", "net", "tax", "gross"},
    given={"series", "sequence", "currency"},
)
JOB = Mapper(
    job_pb2.Job,
    Job,
    ignore={
        "name",
        "etag",
        "estimate",
        "invoice",
        "completed_at",
        "allowed_actions",
        "lines",
        "unread_events",
    },
    given={
        "lines",
        "duplicate_key",
        "currency",
        "rework_due",
        "invoices",
        "completions",
        "corrections",
    },
)
BAY = Mapper(site_pb2.Bay, Bay, rename={"id": "name"})
AROUND = frozenset({"name", "etag", "unread_events"})
"""Fields of a resource that stand around its state."""

SITE = Mapper(site_pb2.Site, Site, ignore=AROUND, nested=[BAY])
SETTINGS = Mapper(site_pb2.Settings, Settings, ignore=AROUND | {"approval_threshold_minor"})
SUMMARY = Mapper(
    job_pb2.JobSummary, JobSummary, rename={"id": "name"}, ignore={"etag"}, given={"version"}
)
CALENDAR_ENTRY = Mapper(service_pb2.CalendarEntry, CalendarEntry)
FILTER = Mapper(
    service_pb2.ListJobsRequest,
    JobFilter,
    ignore={"mine", "order_by", "page_size", "page_token"},
    given={"mine"},
)


def job_message(
    job_id: JobId, known: Known[Job], allowed_actions: Iterable[str] = ()
) -> job_pb2.Job:
    """The resource; its words must have been revealed."""
    job = known.value
    message = JOB.to_message(job)
    message.name, message.etag = f"jobs/{job_id}", str(known.version)
    message.unread_events = known.unread
    message.lines.extend(map(partial(_line, job.currency), job.lines))
    message.allowed_actions.extend(allowed_actions)
    if job.estimate is not None:
        message.estimate.CopyFrom(MONEY.to_message(job.estimate))
    if job.invoice is not None:
        message.invoice.CopyFrom(_invoice(job.invoice))
    if job.completed_at is not None:
        message.completed_at.CopyFrom(timestamp_of(job.completed_at))
    return message


def _line(currency: str, line: Line) -> job_pb2.Line:
    message = LINE.to_message(line)
    if line.priced:
        message.net.CopyFrom(MONEY.to_message(Money(line.net_minor, currency)))
    if line.from_job is not None:
        message.returned_from = f"jobs/{line.from_job}/lines/{line.from_line}"
    return message


def _invoice(invoice: Invoice) -> job_pb2.Invoice:
    message = INVOICE.to_message(invoice)
    message.number = invoice.number
    message.net.CopyFrom(MONEY.to_message(invoice.net))
    message.tax.CopyFrom(MONEY.to_message(invoice.tax))
    message.gross.CopyFrom(MONEY.to_message(invoice.gross))
    return message


def site_message(site_id: SiteId, known: Known[Site]) -> site_pb2.Site:
    message = SITE.to_message(known.value)
    message.name, message.etag = f"sites/{site_id}", str(known.version)
    message.unread_events = known.unread
    return message


def settings_message(known: Known[Settings]) -> site_pb2.Settings:
    message = SETTINGS.to_message(known.value)
    message.name, message.etag = "settings", str(known.version)
    message.unread_events = known.unread
    return message


def summary_message(row: JobSummary) -> job_pb2.JobSummary:
    message = SUMMARY.to_message(row)
    message.etag = str(row.version)
    return message


def calendar_message(entry: CalendarEntry) -> service_pb2.CalendarEntry:
    return CALENDAR_ENTRY.to_message(entry)


def job_history(told: Sequence[Told[JobEvent]], next_page: str) -> service_pb2.JobHistory:
    return service_pb2.JobHistory(
        entries=map(history_entry, told),
        unread_events=sum(isinstance(each.recorded, Unread) for each in told),
        next_page_token=next_page,
    )


def history_entry(told: Told[JobEvent]) -> service_pb2.HistoryEntry:
    recorded = told.recorded
    entry = service_pb2.HistoryEntry(
        version=recorded.version,
        text=told.text,
        actor=Meta.FromString(recorded.meta).actor,
        occurred_at=timestamp_of(recorded.occurred_at),
        recorded_at=timestamp_of(recorded.recorded_at),
        event_id=str(recorded.event_id),
    )
    if isinstance(recorded, Unread):
        entry.type = recorded.type.rpartition(".")[2]
        entry.unread = (
            values_pb2.UNREAD_DAMAGED if recorded.damage else values_pb2.UNREAD_NEWER_RELEASE
        )
    else:
        entry.type = type(recorded.event).__name__
    return entry


def job_filter(request: service_pb2.ListJobsRequest, by: Caller) -> JobFilter:
    mine = (by.subject, _technician(by)) if request.mine else None
    return FILTER.from_message(request, mine=mine)


def _technician(by: Caller) -> TechnicianId | None:
    return TechnicianId(by.technician) if by.technician else None


def job_id(name: str) -> JobId:
    return JobId(name.removeprefix("jobs/"))


def site_id(name: str) -> SiteId:
    return SiteId(name.removeprefix("sites/"))
