"""What is asked of one job, one site or the settings: folded, checked, and put into words."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from eventstore.decider import fold
from eventstore.store import (
    EventStore,
    EventUnreadable,
    Recorded,
    Stream,
    Unread,
    WrittenByANewerRelease,
)
from workshop.application.ports import Asker, Known, Reveal
from workshop.application.streams import SETTINGS_STREAM, shown
from workshop.domain.errors import JobNotFound, SiteNotFound
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent
from workshop.domain.job.state import Job, Line, NoJob
from workshop.domain.site import SITE, NoSite, Site, SiteEvent
from workshop.domain.tenant import TENANT, Settings, TenantEvent
from workshop.domain.values import JobId, SiteId
from workshop.domain.words import describe

T = TypeVar("T")

LONGEST_HISTORY = 100
"""Events: each may say three times 2,000 characters, and all fit one message."""
NEWER = "Written by a newer release, which shows it"
DAMAGED = "Damaged: it cannot be read"


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """An event and what happened, in words."""

    recorded: Recorded[T] | Unread
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
        stream.require_undamaged()
        self._require(_known(stream).value, by)
        known = _known(stream, as_of=as_of, known_at=known_at)
        return replace(known, value=await self.in_words(tenant, job_id, known.value))

    async def history(
        self,
        tenant: str,
        job_id: JobId,
        by: Asker,
        *,
        size: int = LONGEST_HISTORY,
        after: int = 0,
    ) -> tuple[Sequence[Told[JobEvent]], int | None]:
        """What happened after a version, and the version where it ends; None for the last page.

        What cannot be read is told with the little that is known of it.
        """
        stream = await self.store.read(tenant, UUID(job_id))
        self._require(_known(stream).value, by)
        page = [each for each in _stored(stream) if each.version > after][:size]
        end = page[-1].version if page and page[-1].version < stream.version else None
        return await self._told(tenant, job_id, page), end

    async def _told(
        self, tenant: str, job_id: JobId, page: Sequence[Recorded[JobEvent] | Unread]
    ) -> Sequence[Told[JobEvent]]:
        readable = tuple(each.event for each in page if isinstance(each, Recorded))
        opened = iter(await self.words.reveal(tenant, UUID(job_id), readable))
        return [Told(each, _text(each, opened)) for each in page]

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
        origin = await self._origin(tenant, line.from_job, line.from_line)
        if origin is None:
            return line
        opened = await self.words.reveal(tenant, UUID(line.from_job), origin)
        told = await self._line_in_words(tenant, opened)
        return replace(line, description=told.description)

    async def _origin(self, tenant: str, job: JobId, number: int) -> Line | None:
        """None where this release cannot read what put it there."""
        events = (await self.store.read(tenant, UUID(job))).events
        source = fold(JOB.evolve, JOB.initial, events)
        lines = source.lines if isinstance(source, Job) else ()
        return next((each for each in lines if each.line == number), None)

    def _require(self, now: Job, by: Asker) -> None:
        by.require(site=now.site, assignee=now.technician or "", requester=now.requester)


@dataclass(frozen=True, slots=True)
class SiteReader:
    sites: EventStore[SiteEvent]
    tenants: EventStore[TenantEvent]

    async def site(self, tenant: str, site_id: SiteId, by: Asker) -> Known[Site]:
        stream = await self.sites.read(tenant, UUID(site_id))
        known = shown(SITE, stream)
        if isinstance(known.value, NoSite):
            stream.require_whole()
        site = found_site(known.value)
        by.require(site=site_id)
        return Known(site, known.version, known.unread)

    async def sites_of(
        self, tenant: str, site_ids: Sequence[SiteId], by: Asker
    ) -> tuple[Sequence[tuple[SiteId, Known[Site]]], Sequence[SiteId]]:
        """Those that can be shown, and the others."""
        read = await asyncio.gather(*(self._if_readable(tenant, each, by) for each in site_ids))
        found = list(zip(site_ids, read, strict=True))
        readable = [(site_id, known) for site_id, known in found if known is not None]
        return readable, [site_id for site_id, known in found if known is None]

    async def _if_readable(self, tenant: str, site_id: SiteId, by: Asker) -> Known[Site] | None:
        try:
            return await self.site(tenant, site_id, by)
        except (EventUnreadable, WrittenByANewerRelease):
            return None

    async def settings(self, tenant: str, by: Asker) -> Known[Settings]:
        by.require()
        return shown(TENANT, await self.tenants.read(tenant, SETTINGS_STREAM))


def _stored(stream: Stream[JobEvent]) -> Sequence[Recorded[JobEvent] | Unread]:
    """Also what cannot be read, in the order of versions."""
    return sorted((*stream.events, *stream.unread), key=lambda each: each.version)


def _text(stored: Recorded[JobEvent] | Unread, opened: Iterator[JobEvent]) -> str:
    if isinstance(stored, Recorded):
        return describe(next(opened))
    return DAMAGED if stored.damage else NEWER


def _known(
    stream: Stream[JobEvent],
    *,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> Known[Job]:
    """Raises JobNotFound only where there is no job, and not where nothing of it can be read."""
    stored = _stored(stream)
    seen = [
        each
        for each in stored
        if (as_of is None or each.occurred_at <= as_of)
        and (known_at is None or each.recorded_at <= known_at)
    ]
    unread = sum(isinstance(each, Unread) for each in seen)
    job = fold(JOB.evolve, JOB.initial, stream.events, as_of=as_of, known_at=known_at)
    if unread and isinstance(job, NoJob):
        stream.require_whole()
    return Known(found_job(job), max(each.version for each in seen), unread)


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
