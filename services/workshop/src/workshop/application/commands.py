"""What is asked of jobs, sites and settings: facts are fetched, then the decider decides."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from eventstore.decider import Answer, Facts, execute, no_facts
from eventstore.store import EventStore, Metadata
from kernel.ids import IdGenerator
from workshop.application.job_facts import JobFactsReader
from workshop.application.ports import Asker
from workshop.application.streams import SETTINGS_STREAM
from workshop.domain.errors import JobNotFound, SiteNotFound
from workshop.domain.job.commands import InvoiceJob, JobCommand, RequestJob
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent
from workshop.domain.job.state import Job, NoJob
from workshop.domain.site import (
    SITE,
    AddBay,
    NewBays,
    NoSite,
    OpenSite,
    Site,
    SiteCommand,
    SiteEvent,
)
from workshop.domain.tenant import TENANT, Settings, TenantCommand, TenantEvent
from workshop.domain.values import BayId, JobId, SiteId


@dataclass(frozen=True, slots=True)
class JobCommands:
    """One at a time per tenant where an invoice number is taken: otherwise racers would decide again."""

    store: EventStore[JobEvent]
    facts: JobFactsReader
    _invoicing: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), init=False
    )

    async def run(
        self, command: JobCommand, job: JobId, by: Asker, metadata: Metadata
    ) -> Answer[Job | NoJob]:
        if isinstance(command, InvoiceJob):
            async with self._invoicing[metadata.tenant]:
                return await self._execute(command, job, by, metadata)
        return await self._execute(command, job, by, metadata)

    async def _execute(
        self, command: JobCommand, job: JobId, by: Asker, metadata: Metadata
    ) -> Answer[Job | NoJob]:
        return await execute(
            JOB,
            command,
            stream_id=UUID(job),
            store=self.store,
            facts=partial(self.facts.read, command, job, by.roles, metadata.tenant),
            metadata=metadata,
            guard=partial(_guard_job, command, by),
        )


def _guard_job(command: JobCommand, by: Asker, job: Job | NoJob) -> None:
    """`assignee` is the technician that the command is about, else the job's."""
    if isinstance(command, RequestJob):
        return by.require(site=command.site)
    if isinstance(job, NoJob):
        raise JobNotFound("there is no such job")
    technician = getattr(command, "technician", job.technician)
    return by.require(site=job.site, assignee=technician or "", requester=job.requester)


@dataclass(frozen=True, slots=True)
class SiteCommands:
    store: EventStore[SiteEvent]
    ids: IdGenerator

    async def run(
        self, command: SiteCommand, site: SiteId, by: Asker, metadata: Metadata
    ) -> Answer[Site | NoSite]:
        return await execute(
            SITE,
            command,
            stream_id=UUID(site),
            store=self.store,
            facts=partial(self._new_bays, command),
            metadata=metadata,
            guard=partial(_guard_site, command, site, by),
        )

    async def _new_bays(self, command: SiteCommand, _: Site | NoSite) -> Facts[NewBays]:
        match command:
            case OpenSite(bays=labels):
                count = len(labels)
            case AddBay():
                count = 1
            case _:
                count = 0
        return Facts(NewBays(tuple(BayId(str(self.ids.new())) for _ in range(count))))


def _guard_site(command: SiteCommand, site_id: SiteId, by: Asker, site: Site | NoSite) -> None:
    if isinstance(command, OpenSite):
        return by.require()
    if isinstance(site, NoSite):
        raise SiteNotFound("there is no such site")
    return by.require(site=site_id)


@dataclass(frozen=True, slots=True)
class SettingsCommands:
    store: EventStore[TenantEvent]

    async def run(self, command: TenantCommand, by: Asker, metadata: Metadata) -> Answer[Settings]:
        return await execute(
            TENANT,
            command,
            stream_id=SETTINGS_STREAM,
            store=self.store,
            facts=no_facts,
            metadata=metadata,
            guard=lambda _: by.require(),
        )
