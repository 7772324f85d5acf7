"""What may be asked of a job. `at` is when it happened in the shop."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from kernel.personal import Personal
from kernel.units import Distance
from workshop.domain.job.values import (
    HoldReason,
    JobSource,
    MeterKind,
    PartNeed,
    Priority,
    RepairReason,
)
from workshop.domain.values import BayId, SiteId, TechnicianId, Timeslot, VehicleId


@dataclass(frozen=True, slots=True)
class RequestJob:
    """`requester` is the subject of the token that asks."""

    site: SiteId
    vehicle: VehicleId
    source: JobSource
    complaint: Personal | None
    system_code: str
    requester: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TriageJob:
    priority: Priority
    reason: RepairReason


@dataclass(frozen=True, slots=True)
class RejectJob:
    note: Personal


@dataclass(frozen=True, slots=True)
class CheckInVehicle:
    odometer: Distance


@dataclass(frozen=True, slots=True)
class RecordDiagnosis:
    complaint: Personal | None
    cause: Personal | None
    correction: Personal | None


@dataclass(frozen=True, slots=True)
class LineEstimate:
    """`line` is 0 for a new one, which gets the next number."""

    line: int
    code: str
    description: Personal
    labour: timedelta
    parts: tuple[PartNeed, ...]
    fees_minor: int
    certification: str


@dataclass(frozen=True, slots=True)
class IssueEstimate:
    lines: tuple[LineEstimate, ...]


@dataclass(frozen=True, slots=True)
class ApproveLines:
    estimate_version: int
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DeclineLines:
    estimate_version: int
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DeferLines:
    estimate_version: int
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ConfirmParts:
    """No lines stands for all that wait."""

    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReportPartsShort:
    lines: tuple[int, ...]
    expected_at: datetime | None


@dataclass(frozen=True, slots=True)
class AssignTechnician:
    """None stands for nobody any more."""

    technician: TechnicianId | None
    at: datetime


@dataclass(frozen=True, slots=True)
class PromiseCompletion:
    promised_at: datetime


@dataclass(frozen=True, slots=True)
class BookBay:
    bay: BayId
    slot: Timeslot


@dataclass(frozen=True, slots=True)
class RescheduleBay:
    bay: BayId
    slot: Timeslot


@dataclass(frozen=True, slots=True)
class ReleaseBay:
    pass


@dataclass(frozen=True, slots=True)
class StartWork:
    technician: TechnicianId
    bay: BayId
    planned_end: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class StartLabour:
    """`line` is 0 for the whole job."""

    technician: TechnicianId
    line: int
    at: datetime


@dataclass(frozen=True, slots=True)
class StopLabour:
    technician: TechnicianId
    at: datetime


@dataclass(frozen=True, slots=True)
class CorrectLabour:
    labour: int
    started_at: datetime
    stopped_at: datetime
    reason: Personal
    at: datetime


@dataclass(frozen=True, slots=True)
class LeaveBay:
    pass


@dataclass(frozen=True, slots=True)
class HoldJob:
    reason: HoldReason
    note: Personal | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ResumeJob:
    pass


@dataclass(frozen=True, slots=True)
class ReportAdditionalWork:
    code: str
    description: Personal
    certification: str


@dataclass(frozen=True, slots=True)
class CompleteLine:
    line: int


@dataclass(frozen=True, slots=True)
class CompleteWork:
    at: datetime


@dataclass(frozen=True, slots=True)
class PassQc:
    """`inspector` is the subject of the token; None: the inspector is no technician."""

    inspector: str
    inspector_technician: TechnicianId | None


@dataclass(frozen=True, slots=True)
class FailQc:
    """`inspector` is the subject of the token; None: the inspector is no technician."""

    lines: tuple[int, ...]
    note: Personal
    inspector: str
    inspector_technician: TechnicianId | None


@dataclass(frozen=True, slots=True)
class ReleaseVehicle:
    odometer: Distance


@dataclass(frozen=True, slots=True)
class InvoiceJob:
    at: datetime


@dataclass(frozen=True, slots=True)
class CloseJob:
    pass


@dataclass(frozen=True, slots=True)
class CancelJob:
    note: Personal
    at: datetime


@dataclass(frozen=True, slots=True)
class ReopenJob:
    """`code` is the task it came back for; empty if that is not known."""

    note: Personal
    odometer: Distance
    code: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CorrectMeter:
    """`read_at` is None for now."""

    kind: MeterKind
    odometer: Distance
    read_at: datetime | None
    reason: Personal
    at: datetime


@dataclass(frozen=True, slots=True)
class FlagJob:
    """Asked by a policy, never by a person."""

    reason: str
    about: str
    at: datetime


JobCommand: TypeAlias = (
    RequestJob
    | TriageJob
    | RejectJob
    | CheckInVehicle
    | RecordDiagnosis
    | IssueEstimate
    | ApproveLines
    | DeclineLines
    | DeferLines
    | ConfirmParts
    | ReportPartsShort
    | AssignTechnician
    | PromiseCompletion
    | BookBay
    | RescheduleBay
    | ReleaseBay
    | StartWork
    | StartLabour
    | StopLabour
    | CorrectLabour
    | LeaveBay
    | HoldJob
    | ResumeJob
    | ReportAdditionalWork
    | CompleteLine
    | CompleteWork
    | PassQc
    | FailQc
    | ReleaseVehicle
    | InvoiceJob
    | CloseJob
    | CancelJob
    | ReopenJob
    | CorrectMeter
    | FlagJob
)
