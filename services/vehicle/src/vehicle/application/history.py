"""Service history: a vehicle's visits to the workshop, folded from its jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, assert_never

from kernel.money import Money
from kernel.units import Distance
from vehicle.application.job_events import (
    AdditionalWorkFound,
    Charge,
    EndEvent,
    EstimateIssued,
    JobCancelled,
    JobClosed,
    JobEvent,
    JobId,
    JobInvoiced,
    JobRejected,
    JobReopened,
    JobRequested,
    LineCompleted,
    LineEvent,
    MeterCorrected,
    MeterKind,
    QcFailed,
    StayEvent,
    Task,
    VehicleCheckedIn,
    VehicleReleased,
    WorkCompleted,
)
from vehicle.domain.values import VehicleId


class VisitState(StrEnum):
    REQUESTED = "REQUESTED"
    REJECTED = "REJECTED"
    ARRIVED = "ARRIVED"
    COMPLETED = "COMPLETED"
    RELEASED = "RELEASED"
    INVOICED = "INVOICED"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Visit:
    """`codes` are those of the lines that are done; `net` is what was invoiced before tax."""

    job: JobId
    number: str
    state: VisitState
    requested_at: datetime
    released_at: datetime | None = None
    meter_in: Distance | None = None
    codes: tuple[str, ...] = ()
    net: Money | None = None


@dataclass(frozen=True, slots=True)
class Stay:
    """One visit, as far as its job tells it."""

    state: VisitState
    requested_at: datetime
    released_at: datetime | None = None
    meter_in: Distance | None = None
    done: frozenset[int] = frozenset()
    net: Money | None = None


@dataclass(frozen=True, slots=True)
class JobHistory:
    """A job with its visits; `codes` are those of its lines, by number."""

    number: str = ""
    vehicle: VehicleId | None = None
    codes: Mapping[int, str] = field(default_factory=dict)
    stays: tuple[Stay, ...] = ()


@dataclass(frozen=True, slots=True)
class Occurred:
    """An event, and when it happened in the shop."""

    at: datetime
    event: JobEvent


Ends: TypeAlias = Mapping[type[EndEvent], VisitState]
ENDS: Ends = {
    WorkCompleted: VisitState.COMPLETED,
    VehicleReleased: VisitState.RELEASED,
    JobInvoiced: VisitState.INVOICED,
    JobClosed: VisitState.CLOSED,
    JobCancelled: VisitState.CANCELLED,
    JobRejected: VisitState.REJECTED,
}


def evolve(job: JobHistory, occurred: Occurred) -> JobHistory:
    """Of a job whose request a newer release wrote nothing is told, until it is built anew."""
    event = occurred.event
    if isinstance(event, JobRequested):
        stay = Stay(VisitState.REQUESTED, event.requested_at)
        return JobHistory(event.number, event.vehicle, stays=(stay,))
    if not job.stays:
        return job
    if isinstance(event, LineEvent):
        return _worked(job, event)
    if isinstance(event, StayEvent):
        return _stayed(job, event, occurred.at)
    return _ended(job, event, occurred.at)


def visits(job: JobId, history: JobHistory) -> list[Visit]:
    return [
        Visit(
            job=job,
            number=history.number,
            state=stay.state,
            requested_at=stay.requested_at,
            released_at=stay.released_at,
            meter_in=stay.meter_in,
            codes=tuple(history.codes.get(line, "") for line in sorted(stay.done)),
            net=stay.net,
        )
        for stay in history.stays
    ]


def _worked(job: JobHistory, event: LineEvent) -> JobHistory:
    match event:
        case EstimateIssued(lines):
            return _with_codes(job, lines)
        case AdditionalWorkFound(line, code):
            return _with_codes(job, [Task(line, code)])
        case LineCompleted(line):
            return _latest(job, done=job.stays[-1].done | {line})
        case QcFailed(lines):
            done = job.stays[-1].done - set(lines)
            return _latest(job, state=VisitState.ARRIVED, done=done)
        case _:
            assert_never(event)


def _stayed(job: JobHistory, event: StayEvent, at: datetime) -> JobHistory:
    match event:
        case VehicleCheckedIn(meter, lines):
            arrived = _latest(job, state=VisitState.ARRIVED, meter_in=meter)
            return _with_codes(arrived, lines)
        case JobReopened(meter):
            return replace(job, stays=(*job.stays, Stay(VisitState.ARRIVED, at, meter_in=meter)))
        case MeterCorrected(kind, meter, visit):
            return _with_meter(job, visit, meter) if kind is MeterKind.IN else job
        case _:
            assert_never(event)


def _ended(job: JobHistory, event: EndEvent, at: datetime) -> JobHistory:
    ended = _latest(job, state=ENDS[type(event)])
    if isinstance(event, VehicleReleased):
        return _latest(ended, released_at=at)
    if isinstance(event, JobInvoiced):
        return _latest(ended, net=_net(event.lines, event.currency))
    return ended


def _latest(job: JobHistory, **changes: object) -> JobHistory:
    stay = replace(job.stays[-1], **changes)  # type: ignore[arg-type]  # fields of Stay
    return replace(job, stays=(*job.stays[:-1], stay))


def _with_codes(job: JobHistory, tasks: Iterable[Task]) -> JobHistory:
    return replace(job, codes={**job.codes, **{task.line: task.code for task in tasks}})


def _with_meter(job: JobHistory, visit: int, meter: Distance) -> JobHistory:
    numbered = enumerate(job.stays, start=1)
    stays = (replace(each, meter_in=meter) if n == visit else each for n, each in numbered)
    return replace(job, stays=tuple(stays))


def _net(charges: Iterable[Charge], currency: str) -> Money:
    amounts = (each.labour_minor + each.parts_minor + each.fees_minor for each in charges)
    return Money(sum(amounts), currency)
