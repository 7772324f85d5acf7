"""What each command of a job has to know of others, and where that is read."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from eventstore.decider import Facts
from eventstore.store import EventStore
from workshop.application import ports
from workshop.application.facts import UNKNOWN_TECHNICIAN
from workshop.application.ports import Arrivals, Known
from workshop.application.streams import read_job, read_settings, read_site
from workshop.domain.bounds import MOST_RETURNED_LINES
from workshop.domain.errors import FactsNotYetKnown, SiteNotFound
from workshop.domain.job import commands
from workshop.domain.job.closing import invoice_series
from workshop.domain.job.events import JobEvent
from workshop.domain.job.facts import (
    ApprovalFacts,
    CheckInFacts,
    DeferredLine,
    EstimateFacts,
    InvoiceFacts,
    JobFacts,
    ReopenFacts,
    RequestFacts,
    SiteFacts,
    StartFacts,
    TechnicianFacts,
)
from workshop.domain.job.state import Job, NoJob
from workshop.domain.job.values import LineState
from workshop.domain.site import NoSite, Site, SiteEvent
from workshop.domain.tenant import TenantEvent
from workshop.domain.values import NO_LIMIT, ApprovalLimit, JobId, SiteId, TechnicianId

T = TypeVar("T")

PATIENCE_SECONDS, PAUSE_SECONDS = 1.0, 0.02

Read: TypeAlias = "Callable[[JobFactsReader, Any, Asked, Any], Awaitable[Facts[JobFacts]]]"


@dataclass(frozen=True, slots=True)
class Asked:
    """For which job of which tenant, by somebody with which roles."""

    job: JobId
    roles: Collection[str]
    tenant: str


@dataclass(frozen=True, slots=True)
class JobFactsReader:
    """Sites and settings are folded from their streams: what was set is in force at once.

    What other services own comes from a projection. Where it misses something, it is given
    a moment to arrive.
    """

    jobs: EventStore[JobEvent]
    sites: EventStore[SiteEvent]
    settings: EventStore[TenantEvent]
    known: ports.Facts
    arrivals: Arrivals
    patience: float = PATIENCE_SECONDS

    async def read(
        self,
        command: commands.JobCommand,
        job_id: JobId,
        roles: Collection[str],
        tenant: str,
        job: Job | NoJob,
    ) -> Facts[JobFacts]:
        """Raises FactsNotYetKnown where the projection lags behind what may have been said."""
        read = READS.get(type(command))
        return await read(self, command, Asked(job_id, roles, tenant), job) if read else NOTHING

    async def request(
        self, command: commands.RequestJob, asked: Asked, _: Job | NoJob
    ) -> Facts[JobFacts]:
        tenant = asked.tenant
        site, rules, vehicle, number = await asyncio.gather(
            read_site(self.sites, tenant, command.site),
            read_settings(self.settings, tenant),
            self._awaited("vehicle", lambda: self.known.vehicle(tenant, command.vehicle)),
            self.known.next_job_number(tenant),
        )
        facts = RequestFacts(
            asked.job,
            f"J-{number}",
            vehicle_known=vehicle is not None and not vehicle.value.sold,
            site_known=isinstance(site.value, Site),
            rule=rules.value.duplicate_rule,
        )
        return Facts(
            facts,
            {
                f"sites/{command.site}": site.version,
                "settings": rules.version,
                f"vehicles/{command.vehicle}": vehicle.version if vehicle else 0,
            },
        )

    async def check_in(self, _: commands.CheckInVehicle, asked: Asked, job: Job) -> Facts[JobFacts]:
        """Which lines were put off is projected; what they are is read from the jobs themselves."""
        found = await self.known.deferred_lines(asked.tenant, job.vehicle)
        lines_of: defaultdict[JobId, set[int]] = defaultdict(set)
        for deferring, line in found[:MOST_RETURNED_LINES]:
            if deferring != asked.job:
                lines_of[deferring].add(line)
        jobs = [read_job(self.jobs, asked.tenant, deferring) for deferring in lines_of]
        read = dict(zip(lines_of, await asyncio.gather(*jobs), strict=True))
        site = await read_site(self.sites, asked.tenant, job.site)
        currency = site.value.currency if isinstance(site.value, Site) else ""
        deferred = [
            line
            for deferring, known in read.items()
            for line in _deferred(deferring, known.value, lines_of[deferring], currency)
        ]
        versions = {f"jobs/{deferring}": known.version for deferring, known in read.items()}
        versions[f"sites/{job.site}"] = site.version
        return Facts(CheckInFacts(tuple(deferred)), versions)

    async def estimate(self, _: commands.IssueEstimate, asked: Asked, job: Job) -> Facts[JobFacts]:
        site, rules = await asyncio.gather(
            self._open_site(asked.tenant, job.site), read_settings(self.settings, asked.tenant)
        )
        facts = EstimateFacts(
            site.value.labour_rate_minor,
            site.value.currency,
            rules.value.threshold_minor(site.value.currency),
        )
        return Facts(facts, {f"sites/{job.site}": site.version, "settings": rules.version})

    async def approval(self, _: commands.ApproveLines, asked: Asked, job: Job) -> Facts[JobFacts]:
        rules = await read_settings(self.settings, asked.tenant)
        limit = highest_limit(rules.value.approval_limits, asked.roles, job.currency)
        return Facts(ApprovalFacts(limit), {"settings": rules.version})

    async def technician(
        self,
        command: commands.AssignTechnician | commands.StartLabour,
        asked: Asked,
        _: Job,
    ) -> Facts[JobFacts]:
        if command.technician is None:
            return Facts(UNKNOWN_TECHNICIAN)
        known = await self._technician(asked.tenant, command.technician)
        return Facts(known.value, known.versions)

    async def bays(
        self, _: commands.BookBay | commands.RescheduleBay, asked: Asked, job: Job
    ) -> Facts[JobFacts]:
        site = await self._open_site(asked.tenant, job.site)
        return Facts(_bays(site.value), {f"sites/{job.site}": site.version})

    async def start(self, command: commands.StartWork, asked: Asked, job: Job) -> Facts[JobFacts]:
        site, technician = await asyncio.gather(
            self._open_site(asked.tenant, job.site),
            self._technician(asked.tenant, command.technician),
        )
        versions = {f"sites/{job.site}": site.version, **technician.versions}
        return Facts(StartFacts(technician.value, _bays(site.value)), versions)

    async def invoice(
        self, command: commands.InvoiceJob, asked: Asked, job: Job
    ) -> Facts[JobFacts]:
        site = await self._open_site(asked.tenant, job.site)
        series = invoice_series(site.value.code, site.value.zone, command.at)
        sequence = await self.jobs.next_number(asked.tenant, series)
        facts = InvoiceFacts(series, sequence, site.value.currency, site.value.tax_rates)
        return Facts(facts, {f"sites/{job.site}": site.version})

    async def reopening(self, _: commands.ReopenJob, asked: Asked, job: Job) -> Facts[JobFacts]:
        rules = await read_settings(self.settings, asked.tenant)
        return Facts(ReopenFacts(rules.value.rework_window), {"settings": rules.version})

    async def _technician(self, tenant: str, technician: TechnicianId) -> Facts[TechnicianFacts]:
        found = await self._awaited("technician", lambda: self.known.technician(tenant, technician))
        if found is None:
            return Facts(UNKNOWN_TECHNICIAN)
        return Facts(found.value, {f"technicians/{technician}": found.version})

    async def _open_site(self, tenant: str, site: SiteId) -> Known[Site]:
        found = await read_site(self.sites, tenant, site)
        if isinstance(found.value, NoSite):
            raise SiteNotFound("there is no such site", site=f"sites/{site}")
        return Known(found.value, found.version)

    async def _awaited(self, source: str, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """None once all that `source` has said is known, and this was not among it."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.patience
        found = await look()
        while found is None and loop.time() < ends:
            await asyncio.sleep(PAUSE_SECONDS)
            found = await look()
        if found is None and not await self.arrivals.complete(source):
            raise FactsNotYetKnown(f"the {source} may be new; ask again soon", source=source)
        return found


NOTHING: Facts[JobFacts] = Facts(None)
READS: Mapping[type[commands.JobCommand], Read] = {
    commands.RequestJob: JobFactsReader.request,
    commands.CheckInVehicle: JobFactsReader.check_in,
    commands.IssueEstimate: JobFactsReader.estimate,
    commands.ApproveLines: JobFactsReader.approval,
    commands.AssignTechnician: JobFactsReader.technician,
    commands.BookBay: JobFactsReader.bays,
    commands.RescheduleBay: JobFactsReader.bays,
    commands.StartWork: JobFactsReader.start,
    commands.StartLabour: JobFactsReader.technician,
    commands.InvoiceJob: JobFactsReader.invoice,
    commands.ReopenJob: JobFactsReader.reopening,
}


def highest_limit(
    limits: Iterable[ApprovalLimit], roles: Collection[str], currency: str
) -> int | None:
    """The greatest of what these roles may approve; -1 is above all others; None for nothing."""
    counting = [limit for limit in limits if limit.counts_in(currency)]
    allowed = [limit.limit_minor for limit in counting if limit.role in roles]
    return NO_LIMIT if NO_LIMIT in allowed else max(allowed, default=None)


def _deferred(
    job_id: JobId, job: Job | NoJob, numbers: Collection[int], currency: str
) -> list[DeferredLine]:
    """Amounts are told in the currency they were said in; elsewhere the line is priced anew."""
    if isinstance(job, NoJob):
        return []
    is_same = job.currency == currency
    return [
        DeferredLine(
            job_id,
            line.line,
            line.code,
            line.labour,
            line.parts
            if is_same
            else tuple(replace(part, unit_price_minor=0) for part in line.parts),
            line.fees_minor if is_same else 0,
            line.certification,
        )
        for line in job.lines
        if line.line in numbers and line.state is LineState.DEFERRED
    ]


def _bays(site: Site) -> SiteFacts:
    return SiteFacts(site.bays, site.hours, site.zone)
