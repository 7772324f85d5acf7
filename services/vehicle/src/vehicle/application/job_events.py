"""What the job log says, as far as a service history needs it. Names and fields are the workshop's."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, TypeAlias

from kernel.units import Distance
from vehicle.domain.values import VehicleId

JobId = NewType("JobId", str)


class MeterKind(StrEnum):
    IN = "IN"
    OUT = "OUT"


@dataclass(frozen=True, slots=True)
class Task:
    """A line that came back, or was priced."""

    line: int
    code: str


@dataclass(frozen=True, slots=True)
class Charge:
    labour_minor: int
    parts_minor: int
    fees_minor: int


@dataclass(frozen=True, slots=True)
class JobRequested:
    number: str
    vehicle: VehicleId
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class JobRejected:
    pass


@dataclass(frozen=True, slots=True)
class VehicleCheckedIn:
    meter: Distance
    returned_lines: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class EstimateIssued:
    lines: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class AdditionalWorkFound:
    line: int
    code: str


@dataclass(frozen=True, slots=True)
class LineCompleted:
    line: int


@dataclass(frozen=True, slots=True)
class WorkCompleted:
    pass


@dataclass(frozen=True, slots=True)
class QcFailed:
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class VehicleReleased:
    pass


@dataclass(frozen=True, slots=True)
class JobInvoiced:
    currency: str
    lines: tuple[Charge, ...]


@dataclass(frozen=True, slots=True)
class JobClosed:
    pass


@dataclass(frozen=True, slots=True)
class JobCancelled:
    pass


@dataclass(frozen=True, slots=True)
class JobReopened:
    meter: Distance


@dataclass(frozen=True, slots=True)
class MeterCorrected:
    kind: MeterKind
    meter: Distance
    visit: int


LineEvent: TypeAlias = EstimateIssued | AdditionalWorkFound | LineCompleted | QcFailed
EndEvent: TypeAlias = (
    WorkCompleted | VehicleReleased | JobInvoiced | JobClosed | JobCancelled | JobRejected
)
StayEvent: TypeAlias = VehicleCheckedIn | JobReopened | MeterCorrected
JobEvent: TypeAlias = JobRequested | LineEvent | EndEvent | StayEvent
