"""The three aggregates as their own streams tell them: never older than the last command."""

from uuid import UUID

from eventstore.decider import fold
from eventstore.store import EventStore
from workshop.application.ports import Known
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent
from workshop.domain.job.state import Job, NoJob
from workshop.domain.site import SITE, NoSite, Site, SiteEvent
from workshop.domain.tenant import TENANT, Settings, TenantEvent
from workshop.domain.values import JobId, SiteId

SETTINGS_STREAM = UUID("5e771965-0000-7000-8000-000000000001")  # the same for every tenant


async def read_job(store: EventStore[JobEvent], tenant: str, job: JobId) -> Known[Job | NoJob]:
    stream = await store.read(tenant, UUID(job))
    return Known(fold(JOB.evolve, JOB.initial, stream.events), stream.version)


async def read_site(
    store: EventStore[SiteEvent], tenant: str, site: SiteId
) -> Known[Site | NoSite]:
    stream = await store.read(tenant, UUID(site))
    return Known(fold(SITE.evolve, SITE.initial, stream.events), stream.version)


async def read_settings(store: EventStore[TenantEvent], tenant: str) -> Known[Settings]:
    stream = await store.read(tenant, SETTINGS_STREAM)
    return Known(fold(TENANT.evolve, TENANT.initial, stream.events), stream.version)
