"""Ids, times and places that more than one aggregate speaks of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

JobId = NewType("JobId", str)
SiteId = NewType("SiteId", str)
BayId = NewType("BayId", str)
VehicleId = NewType("VehicleId", str)
TechnicianId = NewType("TechnicianId", str)


class Weekday(StrEnum):
    """In the order of `datetime.weekday()`."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class DuplicateRule(StrEnum):
    """What makes two requests for one vehicle the same."""

    VEHICLE = "VEHICLE"
    VEHICLE_AND_SYSTEM = "VEHICLE_AND_SYSTEM"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Timeslot:
    """Half-open: the start belongs to it, the end does not."""

    start: datetime
    end: datetime

    def covers(self, other: "Timeslot") -> bool:
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """One span of one weekday on the site's own clock, as HH:MM."""

    day: Weekday
    opens: str
    closes: str


@dataclass(frozen=True, slots=True)
class TaxRates:
    """In millionths: 190000 is 19 %."""

    labour_ppm: int
    parts_ppm: int
    fees_ppm: int


@dataclass(frozen=True, slots=True)
class ApprovalLimit:
    """In minor units; -1 for no limit."""

    role: str
    limit_minor: int


@dataclass(frozen=True, slots=True)
class Bay:
    id: BayId
    label: str
    retired: bool = False
