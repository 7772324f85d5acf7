"""What the streams of each log fold to, for exports."""

from uuid import UUID

from bayline.workshop.v1 import job_pb2, site_pb2
from eventstore.tables import Table
from workshop.adapters import codec
from workshop.application.ports import Known
from workshop.domain.job.decider import JOB
from workshop.domain.job.evolve import AnyJob
from workshop.domain.job.state import NoJob
from workshop.domain.site import SITE, AnySite, NoSite
from workshop.domain.tenant import TENANT, Settings
from workshop.domain.values import JobId, SiteId


def job(stream: UUID, version: int, state: AnyJob) -> job_pb2.Job | None:
    if isinstance(state, NoJob):
        return None
    return codec.job_message(JobId(str(stream)), Known(state, version))


def site(stream: UUID, version: int, state: AnySite) -> site_pb2.Site | None:
    if isinstance(state, NoSite):
        return None
    return codec.site_message(SiteId(str(stream)), Known(state, version))


def settings(stream: UUID, version: int, state: Settings) -> site_pb2.Settings:
    return codec.settings_message(Known(state, version))


JOBS = Table(codec.JOB_EVENTS, JOB, job)
SITES = Table(codec.SITE_EVENTS, SITE, site)
TENANTS = Table(codec.TENANT_EVENTS, TENANT, settings)
