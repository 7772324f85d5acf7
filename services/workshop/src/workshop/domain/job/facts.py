"""What the rules of a job need to know of others: values, read before the decision."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from workshop.domain.job.values import PartNeed
from workshop.domain.values import Bay, DuplicateRule, JobId, OpeningHours, TaxRates


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """`job` is the id the job will have, `number` the readable one."""

    job: JobId
    number: str
    vehicle_known: bool
    site_known: bool
    rule: DuplicateRule


@dataclass(frozen=True, slots=True)
class DeferredLine:
    """A line that an earlier job of the vehicle put off, and no job has taken back."""

    job: JobId
    line: int
    code: str
    labour: timedelta
    parts: tuple[PartNeed, ...]
    fees_minor: int
    certification: str


@dataclass(frozen=True, slots=True)
class CheckInFacts:
    deferred: tuple[DeferredLine, ...] = ()


@dataclass(frozen=True, slots=True)
class EstimateFacts:
    """Of the site: price of a labour hour, currency. Of the tenant: what needs no approval in it."""

    labour_rate_minor: int
    currency: str
    threshold_minor: int


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """The highest limit of the caller's roles in the job's currency.

    -1 for none, None if they may approve nothing.
    """

    limit_minor: int | None


@dataclass(frozen=True, slots=True)
class Certification:
    """Holds from `valid_from` until before `expires_at` or `revoked_at`; None for no end."""

    code: str
    valid_from: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def holds(self, at: datetime) -> bool:
        ends = [end for end in (self.expires_at, self.revoked_at) if end is not None]
        return self.valid_from <= at and all(at < end for end in ends)


@dataclass(frozen=True, slots=True)
class TechnicianFacts:
    known: bool
    active: bool = True
    certifications: tuple[Certification, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Of the job's site. No hours: always open."""

    bays: tuple[Bay, ...]
    hours: tuple[OpeningHours, ...]
    zone: str


@dataclass(frozen=True, slots=True)
class StartFacts:
    technician: TechnicianFacts
    site: SiteFacts


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """`sequence` is proposed: if another takes it first, it is decided again with the next."""

    series: str
    sequence: int
    currency: str
    tax_rates: TaxRates


@dataclass(frozen=True, slots=True)
class ReopenFacts:
    rework_window: timedelta


JobFacts: TypeAlias = (
    RequestFacts
    | CheckInFacts
    | EstimateFacts
    | ApprovalFacts
    | TechnicianFacts
    | SiteFacts
    | StartFacts
    | InvoiceFacts
    | ReopenFacts
    | None
)
