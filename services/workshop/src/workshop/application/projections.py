"""Rows of the read models, as views of what a stream folds to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from workshop.domain.job.claims import DEFERRED_LINE, claims
from workshop.domain.job.state import Job
from workshop.domain.job.values import LineState
from workshop.domain.values import BayId, SiteId, TechnicianId, VehicleId


@dataclass(frozen=True, slots=True)
class JobRow:
    """Names are those of the columns."""

    number: str
    state: str
    site: SiteId
    vehicle: VehicleId
    priority: str | None
    technician: TechnicianId | None
    requester: str
    promised_at: datetime | None
    requested_at: datetime
    changed_at: datetime
    booked_bay: BayId | None
    booked_from: datetime | None
    booked_until: datetime | None
    occupied_bay: BayId | None


@dataclass(frozen=True, slots=True)
class DeferredLineRow:
    line: int
    vehicle: VehicleId


@dataclass(frozen=True, slots=True)
class ReturnedLineRow:
    from_job: str
    from_line: int


@dataclass(frozen=True, slots=True)
class ClockRow:
    labour: int
    technician: TechnicianId
    started_at: datetime


@dataclass(frozen=True, slots=True)
class JobView:
    """All that is projected of one job."""

    row: JobRow
    deferred: tuple[DeferredLineRow, ...]
    returned: tuple[ReturnedLineRow, ...]
    clocks: tuple[ClockRow, ...]


def job_view(job: Job, changed_at: datetime) -> JobView:
    return JobView(
        row=_row(job, changed_at),
        deferred=tuple(
            DeferredLineRow(line.line, job.vehicle)
            for line in job.lines
            if line.state is LineState.DEFERRED
        ),
        returned=tuple(sorted(_returned(job), key=lambda row: (row.from_job, row.from_line))),
        clocks=tuple(
            ClockRow(clock.labour, clock.technician, clock.started_at) for clock in job.labour
        ),
    )


def _row(job: Job, changed_at: datetime) -> JobRow:
    booking = job.booking
    return JobRow(
        number=job.number,
        state=job.state,
        site=job.site,
        vehicle=job.vehicle,
        priority=job.priority,
        technician=job.technician,
        requester=job.requester,
        promised_at=job.promised_at,
        requested_at=job.requested_at,
        changed_at=changed_at,
        booked_bay=booking.bay if booking else None,
        booked_from=booking.slot.start if booking else None,
        booked_until=booking.slot.end if booking else None,
        occupied_bay=job.bay,
    )


def _returned(job: Job) -> Iterable[ReturnedLineRow]:
    """What the job holds against others: exactly then a line must not be offered to them."""
    for claim in claims(job):
        if claim.scope == DEFERRED_LINE:
            from_job, _, line = claim.key.partition("/")
            yield ReturnedLineRow(from_job, int(line))
