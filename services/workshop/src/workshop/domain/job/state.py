"""A job as its events leave it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kernel.money import Money
from kernel.personal import Personal
from kernel.units import Distance
from workshop.domain.job.events import Correction, InvoiceLine
from workshop.domain.job.values import (
    HoldReason,
    JobSource,
    JobState,
    LineState,
    PartNeed,
    Priority,
    RepairReason,
)
from workshop.domain.values import BayId, JobId, SiteId, TechnicianId, Timeslot, VehicleId

LEFT_OUT = frozenset({LineState.DECLINED, LineState.DEFERRED})
TO_BE_DONE = frozenset({LineState.APPROVED, LineState.REWORK})
APPROVED_ONCE = TO_BE_DONE | {LineState.DONE}


@dataclass(frozen=True, slots=True)
class NoJob:
    """Nothing was requested yet. A correction dated before the request waits for it."""

    corrections: frozenset[Correction] = frozenset()


@dataclass(frozen=True, slots=True)
class Line:
    """One task. `from_job` and `from_line` name the deferred line that came back as this one."""

    line: int
    state: LineState
    code: str
    description: Personal | None
    labour: timedelta
    parts: tuple[PartNeed, ...]
    fees_minor: int
    certification: str
    visit: int
    labour_minor: int = 0
    parts_minor: int = 0
    priced: bool = False
    parts_confirmed: bool = False
    from_job: JobId | None = None
    from_line: int = 0
    invoiced: bool = False

    @property
    def net_minor(self) -> int:
        return self.labour_minor + self.parts_minor + self.fees_minor

    @property
    def waits_for_parts(self) -> bool:
        return self.state in TO_BE_DONE and bool(self.parts) and not self.parts_confirmed


@dataclass(frozen=True, slots=True)
class Labour:
    """A clock: who worked, from when to when; `line` is 0 for the whole job."""

    labour: int
    technician: TechnicianId
    line: int
    started_at: datetime
    stopped_at: datetime | None = None
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Booking:
    bay: BayId
    slot: Timeslot


@dataclass(frozen=True, slots=True)
class Flag:
    reason: str
    about: str
    raised_at: datetime


@dataclass(frozen=True, slots=True)
class Invoice:
    series: str
    sequence: int
    currency: str
    lines: tuple[InvoiceLine, ...]
    invoiced_at: datetime

    @property
    def number(self) -> str:
        return f"{self.series}-{self.sequence:06d}"

    @property
    def net(self) -> Money:
        amounts = (line.labour_minor + line.parts_minor + line.fees_minor for line in self.lines)
        return Money(sum(amounts), self.currency)

    @property
    def tax(self) -> Money:
        return Money(sum(line.tax_minor for line in self.lines), self.currency)

    @property
    def gross(self) -> Money:
        return self.net + self.tax


@dataclass(frozen=True, slots=True)
class Job:
    """What lasts, and what belongs to the visit: the vehicle may come back for the same job.

    `corrections` are the ones that count, one for each clock and reading: they may occur before
    what they correct, so they are kept beside it.
    """

    number: str
    site: SiteId
    vehicle: VehicleId
    source: JobSource
    requester: str
    complaint: Personal | None
    duplicate_key: str
    requested_at: datetime
    state: JobState = JobState.REQUESTED
    cause: Personal | None = None
    correction: Personal | None = None
    priority: Priority | None = None
    reason: RepairReason | None = None
    technician: TechnicianId | None = None
    promised_at: datetime | None = None
    meter_in: Distance | None = None
    meter_out: Distance | None = None
    lines: tuple[Line, ...] = ()
    estimate_version: int = 0
    currency: str = ""
    booking: Booking | None = None
    bay: BayId | None = None
    labour: tuple[Labour, ...] = ()
    hold_reason: HoldReason | None = None
    inspector: str = ""
    rework_count: int = 0
    rework_due: bool = False
    invoices: tuple[Invoice, ...] = ()
    visit: int = 1
    comeback: bool = False
    flags: tuple[Flag, ...] = ()
    completions: tuple[datetime, ...] = ()
    note: Personal | None = None
    corrections: frozenset[Correction] = frozenset()

    @property
    def visit_lines(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.visit == self.visit)

    @property
    def uninvoiced(self) -> tuple[Line, ...]:
        """Done and not charged yet, whichever visit did it."""
        return tuple(
            line for line in self.lines if line.state is LineState.DONE and not line.invoiced
        )

    @property
    def estimated_minor(self) -> int:
        """What this visit is to cost before tax, as far as it is priced and not refused."""
        return net_of(line for line in self.visit_lines if line.state not in LEFT_OUT)

    @property
    def estimate(self) -> Money | None:
        return Money(self.estimated_minor, self.currency) if self.estimate_version else None

    @property
    def invoice(self) -> Invoice | None:
        return self.invoices[-1] if self.invoices else None

    @property
    def completed_at(self) -> datetime | None:
        return self.completions[-1] if self.completions else None

    @property
    def running(self) -> tuple[Labour, ...]:
        return tuple(clock for clock in self.labour if clock.stopped_at is None)


def net_of(lines: Iterable[Line]) -> int:
    return sum(line.net_minor for line in lines)
