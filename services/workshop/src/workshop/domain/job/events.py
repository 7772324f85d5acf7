"""What happens to a job. Names and fields are those of the published events."""

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
from workshop.domain.values import BayId, JobId, SiteId, TechnicianId, Timeslot, VehicleId


@dataclass(frozen=True, slots=True)
class JobRequested:
    number: str
    site: SiteId
    vehicle: VehicleId
    source: JobSource
    requester: str
    complaint: Personal | None
    duplicate_key: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class JobTriaged:
    priority: Priority
    reason: RepairReason


@dataclass(frozen=True, slots=True)
class JobRejected:
    note: Personal


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    """A deferred line of an earlier job; its words stay there."""

    line: int
    from_job: JobId
    from_line: int
    code: str
    labour: timedelta
    parts: tuple[PartNeed, ...]
    fees_minor: int
    certification: str


@dataclass(frozen=True, slots=True)
class VehicleCheckedIn:
    meter: Distance
    returned_lines: tuple[ReturnedLine, ...]


@dataclass(frozen=True, slots=True)
class DiagnosisRecorded:
    """None says nothing new: what was recorded before stands."""

    complaint: Personal | None
    cause: Personal | None
    correction: Personal | None


@dataclass(frozen=True, slots=True)
class EstimatedLine:
    line: int
    code: str
    description: Personal | None
    labour: timedelta
    labour_minor: int
    parts: tuple[PartNeed, ...]
    parts_minor: int
    fees_minor: int
    certification: str


@dataclass(frozen=True, slots=True)
class EstimateIssued:
    estimate_version: int
    currency: str
    lines: tuple[EstimatedLine, ...]


@dataclass(frozen=True, slots=True)
class LinesApproved:
    lines: tuple[int, ...]
    estimate_version: int
    automatic: bool
    limit_minor: int


@dataclass(frozen=True, slots=True)
class LinesDeclined:
    lines: tuple[int, ...]
    estimate_version: int


@dataclass(frozen=True, slots=True)
class LinesDeferred:
    lines: tuple[int, ...]
    estimate_version: int


@dataclass(frozen=True, slots=True)
class PartsConfirmed:
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PartsShort:
    lines: tuple[int, ...]
    expected_at: datetime | None


@dataclass(frozen=True, slots=True)
class TechnicianAssigned:
    technician: TechnicianId | None


@dataclass(frozen=True, slots=True)
class CompletionPromised:
    promised_at: datetime


@dataclass(frozen=True, slots=True)
class BayBooked:
    bay: BayId
    slot: Timeslot


@dataclass(frozen=True, slots=True)
class BayRescheduled:
    bay: BayId
    slot: Timeslot


@dataclass(frozen=True, slots=True)
class BayReleased:
    pass


@dataclass(frozen=True, slots=True)
class WorkStarted:
    technician: TechnicianId
    bay: BayId
    labour: int
    started_at: datetime
    planned_end: datetime


@dataclass(frozen=True, slots=True)
class LabourStarted:
    """`line` is 0 for the whole job."""

    labour: int
    technician: TechnicianId
    line: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class LabourStopped:
    labour: int
    stopped_at: datetime


@dataclass(frozen=True, slots=True)
class LabourCorrected:
    """Of the corrections of one clock, the highest `revision` counts."""

    labour: int
    started_at: datetime
    stopped_at: datetime
    reason: Personal
    revision: int


@dataclass(frozen=True, slots=True)
class BayLeft:
    pass


@dataclass(frozen=True, slots=True)
class JobHeld:
    reason: HoldReason
    note: Personal | None


@dataclass(frozen=True, slots=True)
class JobResumed:
    pass


@dataclass(frozen=True, slots=True)
class AdditionalWorkFound:
    line: int
    code: str
    description: Personal
    certification: str


@dataclass(frozen=True, slots=True)
class LineCompleted:
    line: int


@dataclass(frozen=True, slots=True)
class WorkCompleted:
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class QcPassed:
    inspector: str


@dataclass(frozen=True, slots=True)
class QcFailed:
    inspector: str
    lines: tuple[int, ...]
    note: Personal


@dataclass(frozen=True, slots=True)
class VehicleReleased:
    meter: Distance


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    line: int
    labour_minor: int
    parts_minor: int
    fees_minor: int
    labour_tax_ppm: int
    parts_tax_ppm: int
    fees_tax_ppm: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class JobInvoiced:
    series: str
    sequence: int
    currency: str
    lines: tuple[InvoiceLine, ...]
    invoiced_at: datetime


@dataclass(frozen=True, slots=True)
class JobClosed:
    pass


@dataclass(frozen=True, slots=True)
class JobCancelled:
    note: Personal


@dataclass(frozen=True, slots=True)
class JobReopened:
    note: Personal
    meter: Distance
    comeback: bool
    code: str


@dataclass(frozen=True, slots=True)
class JobFlagged:
    reason: str
    about: str
    raised_at: datetime


@dataclass(frozen=True, slots=True)
class MeterCorrected:
    """Of the corrections of one reading of one visit, the highest `revision` counts."""

    kind: MeterKind
    meter: Distance
    read_at: datetime
    reason: Personal
    visit: int
    revision: int


IntakeEvent: TypeAlias = (
    JobRequested | JobTriaged | JobRejected | VehicleCheckedIn | DiagnosisRecorded
)
EstimateEvent: TypeAlias = (
    EstimateIssued | LinesApproved | LinesDeclined | LinesDeferred | PartsConfirmed | PartsShort
)
PlanningEvent: TypeAlias = (
    TechnicianAssigned | CompletionPromised | BayBooked | BayRescheduled | BayReleased | BayLeft
)
LabourEvent: TypeAlias = WorkStarted | LabourStarted | LabourStopped
WorkEvent: TypeAlias = (
    JobHeld | JobResumed | AdditionalWorkFound | LineCompleted | WorkCompleted | QcPassed | QcFailed
)
ClosingEvent: TypeAlias = (
    VehicleReleased | JobInvoiced | JobClosed | JobCancelled | JobReopened | JobFlagged
)
Correction: TypeAlias = LabourCorrected | MeterCorrected
JobEvent: TypeAlias = (
    IntakeEvent
    | EstimateEvent
    | PlanningEvent
    | LabourEvent
    | WorkEvent
    | ClosingEvent
    | Correction
)
