"""What is asked of one job, one site or the settings: folded, checked, and put into words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from eventstore.decider import fold
from eventstore.store import EventStore, Recorded
from workshop.application.ports import Asker, Known, Reveal
from workshop.application.streams import read_job, read_settings, read_site
from workshop.domain.errors import JobNotFound, SiteNotFound
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent
from workshop.domain.job.state import Job, Line, NoJob
from workshop.domain.site import NoSite, Site, SiteEvent
from workshop.domain.tenant import Settings, TenantEvent
from workshop.domain.values import JobId, SiteId
from workshop.domain.words import describe

T = TypeVar("T")

LONGEST_HISTORY = 100
"""Events: each may say three times 2,000 characters, and all fit one message."""


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """An event and what happened, in words."""

    recorded: Recorded[T]
    text: str


@dataclass(frozen=True, slots=True)
class JobReader:
    store: EventStore[JobEvent]
    words: Reveal

    async def job(
        self,
        tenant: str,
        job_id: JobId,
        by: Asker,
        *,
        as_of: datetime | None = None,
        known_at: datetime | None = None,
    ) -> Known[Job]:
        """As things stood in the shop at `as_of`, as far as they were known at `known_at`."""
        stream = await self.store.read(tenant, UUID(job_id))
        self._require(fold(JOB.evolve, JOB.initial, stream.events), by)
        job = found_job(
            fold(JOB.evolve, JOB.initial, stream.events, as_of=as_of, known_at=known_at)
        )
        seen = (
            each.version
            for each in stream.events
            if (as_of is None or each.occurred_at <= as_of)
            and (known_at is None or each.recorded_at <= known_at)
        )
        return Known(await self.in_words(tenant, job_id, job), max(seen))

    async def history(
        self,
        tenant: str,
        job_id: JobId,
        by: Asker,
        *,
        size: int = LONGEST_HISTORY,
        after: int = 0,
    ) -> tuple[Sequence[Told[JobEvent]], int | None]:
        """What happened after a version, and the version where it ends; None for the last page."""
        stream = await self.store.read(tenant, UUID(job_id))
        self._require(fold(JOB.evolve, JOB.initial, stream.events), by)
        page = stream.events[after : after + size]
        events = await self.words.reveal(tenant, UUID(job_id), tuple(each.event for each in page))
        told = zip(page, events, strict=True)
        end = page[-1].version if page and page[-1].version < stream.version else None
        return [Told(recorded, describe(event)) for recorded, event in told], end

    async def in_words(self, tenant: str, job_id: JobId, job: Job) -> Job:
        """What was said about it, opened; also of lines whose words an earlier job keeps."""
        revealed = await self.words.reveal(tenant, UUID(job_id), job)
        if not any(_kept_elsewhere(line) for line in revealed.lines):
            return revealed
        lines = [await self._line_in_words(tenant, line) for line in revealed.lines]
        return replace(revealed, lines=tuple(lines))

    async def _line_in_words(self, tenant: str, line: Line) -> Line:
        if line.from_job is None or line.description is not None:
            return line
        source = found_job((await read_job(self.store, tenant, line.from_job)).value)
        origin = next(each for each in source.lines if each.line == line.from_line)
        opened = await self.words.reveal(tenant, UUID(line.from_job), origin)
        told = await self._line_in_words(tenant, opened)
        return replace(line, description=told.description)

    def _require(self, job: Job | NoJob, by: Asker) -> None:
        now = found_job(job)
        by.require(site=now.site, assignee=now.technician or "", requester=now.requester)


@dataclass(frozen=True, slots=True)
class SiteReader:
    sites: EventStore[SiteEvent]
    tenants: EventStore[TenantEvent]

    async def site(self, tenant: str, site_id: SiteId, by: Asker) -> Known[Site]:
        known = await read_site(self.sites, tenant, site_id)
        site = found_site(known.value)
        by.require(site=site_id)
        return Known(site, known.version)

    async def settings(self, tenant: str, by: Asker) -> Known[Settings]:
        by.require()
        return await read_settings(self.tenants, tenant)


def found_job(job: Job | NoJob) -> Job:
    if isinstance(job, NoJob):
        raise JobNotFound("there is no such job")
    return job


def found_site(site: Site | NoSite) -> Site:
    if isinstance(site, NoSite):
        raise SiteNotFound("there is no such site")
    return site


def _kept_elsewhere(line: Line) -> bool:
    return line.from_job is not None and line.description is None
