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


ROLES = frozenset(
    {
        "driver",
        "technician",
        "service_manager",
        "parts_clerk",
        "fleet_manager",
        "analyst",
        "auditor",
        "admin",
    }
)
NO_LIMIT = -1
ANY_CURRENCY = ""


@dataclass(frozen=True, slots=True)
class ApprovalLimit:
    """In minor units of the currency; NO_LIMIT is the only one that ANY_CURRENCY can have.

    Before limits had a currency an amount stood for EUR 2,000.00 in one site and for JPY 200,000 in
    another. What was set then is kept, and counts nowhere: nothing is approved by mistake.
    """

    role: str
    limit_minor: int
    currency: str = ANY_CURRENCY

    def counts_in(self, currency: str) -> bool:
        unlimited = self.limit_minor == NO_LIMIT and self.currency == ANY_CURRENCY
        return unlimited or (bool(currency) and self.currency == currency)


@dataclass(frozen=True, slots=True)
class ApprovalThreshold:
    """Below it an estimate in that currency needs nobody's approval."""

    currency: str
    threshold_minor: int


@dataclass(frozen=True, slots=True)
class Bay:
    id: BayId
    label: str
    retired: bool = False
