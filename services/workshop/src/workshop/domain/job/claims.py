"""What a job holds that no other job may hold, and how a refusal names the holder."""

from collections.abc import Iterator
from uuid import UUID

from eventstore.store import Claim
from kernel.errors import DomainError
from workshop.domain.errors import (
    BayOccupied,
    DeferredLineTaken,
    DuplicateJob,
    SlotTaken,
    TechnicianClockedElsewhere,
)
from workshop.domain.job.evolve import AnyJob
from workshop.domain.job.state import Job, NoJob
from workshop.domain.job.values import JobState, LineState

CLOCK = "clock"
SLOT = "slot"
BAY = "bay"
OPEN_JOB = "open-job"
DEFERRED_LINE = "deferred-line"
SCOPES = frozenset({CLOCK, SLOT, BAY, OPEN_JOB, DEFERRED_LINE})

NO_LONGER_OPEN = frozenset(
    {
        JobState.REJECTED,
        JobState.RELEASED,
        JobState.INVOICED,
        JobState.CLOSED,
        JobState.CANCELLED,
    }
)


def claims(job: AnyJob) -> set[Claim]:
    return set() if isinstance(job, NoJob) else set(_claimed(job))


def taken(scope: str, key: str, holder: UUID) -> DomainError | None:
    """The refusal; None asks again, with the next number of a series."""
    job_id = f"jobs/{holder}"
    match scope:
        case "clock":
            return TechnicianClockedElsewhere(
                f"the technician is clocked on {job_id} at that time",
                job_id=job_id,
                technician=f"technicians/{key}",
            )
        case "slot":
            return SlotTaken(
                f"{job_id} holds the bay at that time", job_id=job_id, bay=f"bays/{key}"
            )
        case "bay":
            return BayOccupied(
                f"the vehicle of {job_id} stands in the bay", job_id=job_id, bay=f"bays/{key}"
            )
        case "open-job":
            return DuplicateJob(f"{job_id} is open for the same vehicle", job_id=job_id)
        case "deferred-line":
            return DeferredLineTaken(f"a deferred line went to {job_id}", job_id=job_id)
        case _:
            return None


def _claimed(job: Job) -> Iterator[Claim]:
    for clock in job.labour:
        if clock.started_at != clock.stopped_at:
            yield Claim(CLOCK, clock.technician, clock.started_at, clock.stopped_at)
    if job.booking is not None:
        slot = job.booking.slot
        yield Claim(SLOT, job.booking.bay, slot.start, slot.end)
    if job.bay is not None:
        yield Claim(BAY, job.bay)
    if job.state not in NO_LONGER_OPEN:
        yield Claim(OPEN_JOB, f"{job.vehicle}/{job.duplicate_key}")
    yield from _taken_back(job)
    for invoice in job.invoices:
        yield Claim(f"number/{invoice.series}", str(invoice.sequence))


def _taken_back(job: Job) -> Iterator[Claim]:
    """Deferred lines of earlier jobs. A cancelled job gives back what it has not done."""
    for line in job.lines:
        kept = job.state is not JobState.CANCELLED or line.state is LineState.DONE
        if line.from_job is not None and kept:
            yield Claim(DEFERRED_LINE, f"{line.from_job}/{line.from_line}")
