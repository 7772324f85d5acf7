"""The three aggregates as their own streams tell them: never older than the last command."""

from typing import Any, TypeVar
from uuid import UUID

from eventstore.decider import Decider, fold
from eventstore.store import EventStore, Stream
from workshop.application.ports import Known
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent
from workshop.domain.job.state import Job, NoJob
from workshop.domain.site import SITE, NoSite, Site, SiteEvent
from workshop.domain.tenant import TENANT, Settings, TenantEvent
from workshop.domain.values import JobId, SiteId

S = TypeVar("S")
E = TypeVar("E")

SETTINGS_STREAM = UUID("5e771965-0000-7000-8000-000000000001")  # the same for every tenant


async def read_job(store: EventStore[JobEvent], tenant: str, job: JobId) -> Known[Job | NoJob]:
    return whole(JOB, await store.read(tenant, UUID(job)))


async def read_site(
    store: EventStore[SiteEvent], tenant: str, site: SiteId
) -> Known[Site | NoSite]:
    return whole(SITE, await store.read(tenant, UUID(site)))


async def read_settings(store: EventStore[TenantEvent], tenant: str) -> Known[Settings]:
    return whole(TENANT, await store.read(tenant, SETTINGS_STREAM))


def whole(decider: Decider[Any, S, E, Any], stream: Stream[E]) -> Known[S]:
    """To decide on. Raises WrittenByANewerRelease or EventUnreadable where it lacks anything."""
    stream.require_whole()
    return Known(fold(decider.evolve, decider.initial, stream.events), stream.version)


def shown(decider: Decider[Any, S, E, Any], stream: Stream[E]) -> Known[S]:
    """To look at, without what a newer release wrote. Raises EventUnreadable."""
    stream.require_undamaged()
    state = fold(decider.evolve, decider.initial, stream.events)
    return Known(state, stream.version, len(stream.unread))
