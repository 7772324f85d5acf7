"""What of a job matters to the people who work on it: who has it, and whose clocks ran."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeAlias, assert_never

from technician.domain.values import TechnicianId


@dataclass(frozen=True, slots=True)
class TechnicianAssigned:
    technician: TechnicianId | None


@dataclass(frozen=True, slots=True)
class WorkStarted:
    technician: TechnicianId
    labour: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class LabourStarted:
    technician: TechnicianId
    labour: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class LabourStopped:
    labour: int
    stopped_at: datetime


@dataclass(frozen=True, slots=True)
class LabourCorrected:
    labour: int
    started_at: datetime
    stopped_at: datetime


@dataclass(frozen=True, slots=True)
class WorkCompleted:
    pass


@dataclass(frozen=True, slots=True)
class QcFailed:
    pass


@dataclass(frozen=True, slots=True)
class VehicleReleased:
    pass


@dataclass(frozen=True, slots=True)
class JobRejected:
    pass


@dataclass(frozen=True, slots=True)
class JobCancelled:
    pass


@dataclass(frozen=True, slots=True)
class JobReopened:
    pass


ClockEvent: TypeAlias = WorkStarted | LabourStarted | LabourStopped | LabourCorrected
EndEvent: TypeAlias = WorkCompleted | VehicleReleased | JobRejected | JobCancelled
JobEvent: TypeAlias = TechnicianAssigned | ClockEvent | EndEvent | QcFailed | JobReopened


@dataclass(frozen=True, slots=True)
class Clock:
    labour: int
    technician: TechnicianId
    started_at: datetime
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobWork:
    """Open from the request until work is completed, or the job ends without; again if it returns."""

    technician: TechnicianId | None = None
    is_open: bool = True
    completions: int = 0
    clocks: tuple[Clock, ...] = ()


def evolve(job: JobWork, event: JobEvent) -> JobWork:
    match event:
        case TechnicianAssigned(technician):
            return replace(job, technician=technician)
        case WorkCompleted():
            return replace(job, is_open=False, completions=job.completions + 1)
        case QcFailed():
            return replace(job, is_open=True, completions=job.completions - 1)
        case VehicleReleased() | JobRejected() | JobCancelled():
            return replace(job, is_open=False)
        case JobReopened():
            return replace(job, is_open=True)
        case _:
            return _clocked(job, event)


def _clocked(job: JobWork, event: ClockEvent) -> JobWork:
    match event:
        case WorkStarted(technician, labour, started_at):
            started = Clock(labour, technician, started_at)
            assigned = job.technician or technician
            return replace(job, technician=assigned, clocks=(*job.clocks, started))
        case LabourStarted(technician, labour, started_at):
            return replace(job, clocks=(*job.clocks, Clock(labour, technician, started_at)))
        case LabourStopped(labour, stopped_at):
            return _changed(job, labour, stopped_at=stopped_at)
        case LabourCorrected(labour, started_at, stopped_at):
            return _changed(job, labour, started_at=started_at, stopped_at=stopped_at)
        case _:
            assert_never(event)


def _changed(job: JobWork, labour: int, **times: Any) -> JobWork:
    clocks = (replace(each, **times) if each.labour == labour else each for each in job.clocks)
    return replace(job, clocks=tuple(clocks))
