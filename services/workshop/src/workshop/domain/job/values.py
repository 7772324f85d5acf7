"""What a job is described with."""

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    REQUESTED = "REQUESTED"
    PLANNED = "PLANNED"
    REJECTED = "REJECTED"
    CHECKED_IN = "CHECKED_IN"
    DIAGNOSED = "DIAGNOSED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    WAITING_PARTS = "WAITING_PARTS"
    READY = "READY"
    IN_PROGRESS = "IN_PROGRESS"
    ON_HOLD = "ON_HOLD"
    QUALITY_CHECK = "QUALITY_CHECK"
    COMPLETED = "COMPLETED"
    RELEASED = "RELEASED"
    INVOICED = "INVOICED"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


class LineState(StrEnum):
    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    DEFERRED = "DEFERRED"
    DONE = "DONE"
    REWORK = "REWORK"


class JobSource(StrEnum):
    DRIVER = "DRIVER"
    DVIR = "DVIR"
    DTC = "DTC"
    PM = "PM"
    PORTAL = "PORTAL"
    STAFF = "STAFF"


class Priority(StrEnum):
    SCHEDULED = "SCHEDULED"
    NON_SCHEDULED = "NON_SCHEDULED"
    EMERGENCY = "EMERGENCY"


class RepairReason(StrEnum):
    BREAKDOWN = "BREAKDOWN"
    DRIVER_REPORT = "DRIVER_REPORT"
    INSPECTION = "INSPECTION"
    PREVENTIVE = "PREVENTIVE"
    REWORK = "REWORK"
    ROAD_CALL = "ROAD_CALL"
    ACCIDENT = "ACCIDENT"
    RECALL = "RECALL"


class HoldReason(StrEnum):
    PARTS = "PARTS"
    APPROVAL = "APPROVAL"
    SUBLET = "SUBLET"
    BAY = "BAY"
    TECHNICIAN = "TECHNICIAN"
    TOOL = "TOOL"
    CUSTOMER = "CUSTOMER"
    OTHER = "OTHER"


class MeterKind(StrEnum):
    IN = "IN"
    OUT = "OUT"


@dataclass(frozen=True, slots=True)
class PartNeed:
    """`quantity_milli` counts thousandths of the unit: 1500 is one and a half litres."""

    part_number: str
    quantity_milli: int
    unit_price_minor: int
