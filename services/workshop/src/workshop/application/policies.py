"""Whenever a certification turns out to have been revoked before work began, the job is flagged."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from eventstore.store import Metadata
from kernel.clock import Clock
from kernel.errors import Damaged, Outdated
from workshop.application.commands import JobCommands
from workshop.application.ports import Clocks, Facts
from workshop.application.streams import read_job
from workshop.domain.job.commands import FlagJob
from workshop.domain.job.facts import Certification
from workshop.domain.job.state import Job, Labour
from workshop.domain.values import JobId, TechnicianId

REASON = "CERTIFICATION_WAS_REVOKED"
POLICY, ACTOR = "certification-was-revoked", "workshop"


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that made us look. It is looked at again after a failure, so it is its own key."""

    tenant: str
    event_id: str
    correlation_id: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Ourselves:
    """A policy asks for nobody: it may do what it is for."""

    roles: Collection[str] = ()

    def require(self, *, site: str = "", assignee: str = "", requester: str = "") -> None:
        return None


@dataclass(frozen=True, slots=True)
class CertificationPolicy:
    """Nothing is rewritten: what was decided on the facts of its day stands, with a flag.

    A start and a revocation may pass each other on their way here. Each looks, once it is
    projected itself, for the other: whichever comes last finds both.
    """

    commands: JobCommands
    facts: Facts
    clocks: Clocks
    clock: Clock

    async def revoked(self, technician: TechnicianId, cause: Cause) -> None:
        certifications = await self._revoked(technician, cause.tenant)
        if certifications:
            since = min(each.revoked_at for each in certifications if each.revoked_at)
            jobs = await self.clocks.started(cause.tenant, technician, since)
            await self._look_at(jobs, technician, certifications, cause)

    async def started(self, job: JobId, technician: TechnicianId, cause: Cause) -> None:
        certifications = await self._revoked(technician, cause.tenant)
        if certifications:
            await self._look_at([job], technician, certifications, cause)

    async def _revoked(self, technician: TechnicianId, tenant: str) -> Sequence[Certification]:
        """All of the technician's certifications, if any was revoked at all."""
        known = await self.facts.technician(tenant, technician)
        held = known.value.certifications if known else ()
        return held if any(each.revoked_at for each in held) else ()

    async def _look_at(
        self,
        jobs: Iterable[JobId],
        technician: TechnicianId,
        certifications: Collection[Certification],
        cause: Cause,
    ) -> None:
        """Each of them, before it is said that one cannot be looked at."""
        refused: Outdated | Damaged | None = None
        for job_id in jobs:
            try:
                job = (await read_job(self.commands.store, cause.tenant, job_id)).value
            except (Outdated, Damaged) as error:
                refused = error
                continue
            if isinstance(job, Job) and worked_uncertified(job, technician, certifications):
                await self._flag(job_id, technician, cause)
        if refused is not None:
            raise refused

    async def _flag(self, job_id: JobId, technician: TechnicianId, cause: Cause) -> None:
        now = self.clock.now()
        command = FlagJob(REASON, f"technicians/{technician}", now)
        await self.commands.run(command, job_id, Ourselves(), _metadata(job_id, cause, now))


def worked_uncertified(
    job: Job, technician: TechnicianId, certifications: Collection[Certification]
) -> bool:
    """A clock of this technician began when a certification it needed had been revoked."""
    return any(
        _was_revoked(code, clock.started_at, certifications)
        for clock in job.labour
        if clock.technician == technician
        for code in _needed(job, clock)
    )


def _needed(job: Job, clock: Labour) -> set[str]:
    lines = (line for line in job.lines if clock.line in {0, line.line})
    return {line.certification for line in lines if line.certification}


def _was_revoked(code: str, at: datetime, certifications: Collection[Certification]) -> bool:
    of_code = [each for each in certifications if each.code == code]
    revoked = any(each.revoked_at is not None and each.revoked_at <= at for each in of_code)
    return revoked and not any(each.holds(at) for each in of_code)


def _metadata(job_id: JobId, cause: Cause, now: datetime) -> Metadata:
    key = f"{cause.event_id}:{POLICY}:{job_id}"
    return Metadata(
        tenant=cause.tenant,
        actor=ACTOR,
        request_id=key,
        fingerprint=sha256(key.encode()).digest(),
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
        occurred_at=now,
        traceparent=cause.traceparent,
    )
