"""WorkshopService: translate, call, translate back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import starmap
from typing import Any, TypeAlias

from grpc.aio import ServicerContext

from bayline.workshop.v1 import job_pb2, site_pb2
from bayline.workshop.v1 import workshop_service_pb2 as pb
from bayline.workshop.v1.workshop_service_pb2_grpc import WorkshopServiceServicer
from eventstore.conversion import datetime_of
from kernel.ids import IdGenerator
from runtime import commands, pages
from runtime.asking import CallerAsks, asking
from runtime.policy import Policies
from workshop.adapters import codec
from workshop.adapters.permission import offered, visible
from workshop.application.commands import JobCommands, SettingsCommands, SiteCommands
from workshop.application.ports import Known
from workshop.application.queries import After, JobList, SiteList
from workshop.application.reading import (
    LONGEST_HISTORY,
    JobReader,
    SiteReader,
    found_job,
    found_site,
)
from workshop.domain import site, tenant
from workshop.domain.errors import SlotInvalid
from workshop.domain.job import commands as job
from workshop.domain.job.allowed import allowed_actions
from workshop.domain.values import JobId, SiteId

Context: TypeAlias = ServicerContext[Any, Any]
Request: TypeAlias = Any  # of the method's own type: the server gives no other

LONGEST_CALENDAR = timedelta(days=31)
REQUEST_JOB, OPEN_SITE = codec.Command(job.RequestJob), codec.Command(site.OpenSite)


@dataclass(frozen=True, slots=True)
class Commands:
    jobs: JobCommands
    sites: SiteCommands
    settings: SettingsCommands


@dataclass(frozen=True, slots=True)
class Queries:
    jobs: JobReader
    sites: SiteReader
    job_list: JobList
    site_list: SiteList


def on_job(kind: type[job.JobCommand]) -> Callable[..., Awaitable[job_pb2.Job]]:
    """The method of the command of the same name, on the job that the request names."""
    command = codec.Command(kind)

    async def method(self: "WorkshopServicer", request: Request, context: Context) -> job_pb2.Job:
        return await self.run_on_job(command, codec.job_id(request.name), request, context)

    return method


def on_site(kind: type[site.SiteCommand]) -> Callable[..., Awaitable[site_pb2.Site]]:
    command = codec.Command(kind)

    async def method(self: "WorkshopServicer", request: Request, context: Context) -> site_pb2.Site:
        return await self.run_on_site(command, codec.site_id(request.name), request, context)

    return method


def on_settings(kind: type[tenant.TenantCommand]) -> Callable[..., Awaitable[site_pb2.Settings]]:
    command = codec.Command(kind)

    async def method(
        self: "WorkshopServicer", request: Request, context: Context
    ) -> site_pb2.Settings:
        return await self.run_on_settings(command, request, context)

    return method


class WorkshopServicer(WorkshopServiceServicer):
    def __init__(
        self, commands: Commands, queries: Queries, policies: Policies, ids: IdGenerator
    ) -> None:
        self._commands, self._queries = commands, queries
        self._policies, self._ids = policies, ids

    RenameSite = on_site(site.RenameSite)
    SetTaxRates = on_site(site.SetTaxRates)
    SetLabourRate = on_site(site.SetLabourRate)
    SetOpeningHours = on_site(site.SetOpeningHours)
    AddBay = on_site(site.AddBay)
    RetireBay = on_site(site.RetireBay)

    SetApprovalLimits = on_settings(tenant.SetApprovalLimits)
    SetApprovalThreshold = on_settings(tenant.SetApprovalThreshold)
    SetReworkWindow = on_settings(tenant.SetReworkWindow)
    SetDuplicateRule = on_settings(tenant.SetDuplicateRule)

    TriageJob = on_job(job.TriageJob)
    RejectJob = on_job(job.RejectJob)
    CheckInVehicle = on_job(job.CheckInVehicle)
    RecordDiagnosis = on_job(job.RecordDiagnosis)
    IssueEstimate = on_job(job.IssueEstimate)
    ApproveLines = on_job(job.ApproveLines)
    DeclineLines = on_job(job.DeclineLines)
    DeferLines = on_job(job.DeferLines)
    ConfirmParts = on_job(job.ConfirmParts)
    ReportPartsShort = on_job(job.ReportPartsShort)
    AssignTechnician = on_job(job.AssignTechnician)
    PromiseCompletion = on_job(job.PromiseCompletion)
    BookBay = on_job(job.BookBay)
    RescheduleBay = on_job(job.RescheduleBay)
    ReleaseBay = on_job(job.ReleaseBay)
    StartWork = on_job(job.StartWork)
    StartLabour = on_job(job.StartLabour)
    StopLabour = on_job(job.StopLabour)
    CorrectLabour = on_job(job.CorrectLabour)
    LeaveBay = on_job(job.LeaveBay)
    HoldJob = on_job(job.HoldJob)
    ResumeJob = on_job(job.ResumeJob)
    ReportAdditionalWork = on_job(job.ReportAdditionalWork)
    CompleteLine = on_job(job.CompleteLine)
    CompleteWork = on_job(job.CompleteWork)
    PassQc = on_job(job.PassQc)
    FailQc = on_job(job.FailQc)
    ReleaseVehicle = on_job(job.ReleaseVehicle)
    InvoiceJob = on_job(job.InvoiceJob)
    CloseJob = on_job(job.CloseJob)
    CancelJob = on_job(job.CancelJob)
    ReopenJob = on_job(job.ReopenJob)
    CorrectMeter = on_job(job.CorrectMeter)

    async def RequestJob(  # noqa: N802 -- the RPC's name
        self, request: pb.RequestJobRequest, context: Context
    ) -> job_pb2.Job:
        return await self.run_on_job(REQUEST_JOB, JobId(self._new_id()), request, context)

    async def OpenSite(  # noqa: N802 -- the RPC's name
        self, request: pb.OpenSiteRequest, context: Context
    ) -> site_pb2.Site:
        return await self.run_on_site(OPEN_SITE, SiteId(self._new_id()), request, context)

    async def GetJob(  # noqa: N802 -- the RPC's name
        self, request: pb.GetJobRequest, context: Context
    ) -> job_pb2.Job:
        by = self._asker()
        as_of = datetime_of(request.as_of) if request.HasField("as_of") else None
        known_at = datetime_of(request.known_at) if request.HasField("known_at") else None
        known = await self._queries.jobs.job(
            by.tenant, codec.job_id(request.name), by, as_of=as_of, known_at=known_at
        )
        nothing = as_of is not None or known_at is not None or known.unread
        actions = () if nothing else offered(by, known.value, allowed_actions(known.value))
        return codec.job_message(codec.job_id(request.name), known, actions)

    async def GetJobHistory(  # noqa: N802 -- the RPC's name
        self, request: pb.GetJobHistoryRequest, context: Context
    ) -> pb.JobHistory:
        by = self._asker()
        after = pages.opened(request)
        told, end = await self._queries.jobs.history(
            by.tenant,
            codec.job_id(request.name),
            by,
            size=request.page_size or LONGEST_HISTORY,
            after=int(after[0]) if after else 0,
        )
        token = pages.sealed(request, str(end), "") if end else ""
        return codec.job_history(told, token)

    async def ListJobs(  # noqa: N802 -- the RPC's name
        self, request: pb.ListJobsRequest, context: Context
    ) -> pb.ListJobsResponse:
        by = self._asker()
        rows, end = await self._queries.job_list.page(
            by.tenant,
            visible(by),
            codec.job_filter(request, by.caller),
            request.order_by,
            pages.size_of(request),
            _after(request),
        )
        return pb.ListJobsResponse(
            jobs=map(codec.summary_message, rows), next_page_token=_token(request, end)
        )

    async def GetSite(  # noqa: N802 -- the RPC's name
        self, request: pb.GetSiteRequest, context: Context
    ) -> site_pb2.Site:
        by = self._asker()
        site_id = codec.site_id(request.name)
        return codec.site_message(site_id, await self._queries.sites.site(by.tenant, site_id, by))

    async def ListSites(  # noqa: N802 -- the RPC's name
        self, request: pb.ListSitesRequest, context: Context
    ) -> pb.ListSitesResponse:
        by = self._asker()
        ids, end = await self._queries.site_list.page(
            by.tenant, by.sites, pages.size_of(request), _after(request)
        )
        sites, unread = await self._queries.sites.sites_of(by.tenant, ids, by)
        return pb.ListSitesResponse(
            sites=starmap(codec.site_message, sites),
            next_page_token=_token(request, end),
            unread=[f"sites/{site_id}" for site_id in unread],
        )

    async def GetBayCalendar(  # noqa: N802 -- the RPC's name
        self, request: pb.GetBayCalendarRequest, context: Context
    ) -> pb.BayCalendar:
        by = self._asker()
        site_id = codec.site_id(request.name)
        start, end = datetime_of(request.start), datetime_of(request.end)
        if not start < end <= start + LONGEST_CALENDAR:
            raise SlotInvalid("a calendar ends after it starts, and within 31 days")
        await self._queries.sites.site(by.tenant, site_id, by)
        entries = await self._queries.job_list.calendar(by.tenant, site_id, start, end)
        return pb.BayCalendar(entries=map(codec.calendar_message, entries))

    async def GetSettings(  # noqa: N802 -- the RPC's name
        self, request: pb.GetSettingsRequest, context: Context
    ) -> site_pb2.Settings:
        by = self._asker()
        return codec.settings_message(await self._queries.sites.settings(by.tenant, by))

    async def run_on_job(
        self, command: codec.Command[Any], job_id: JobId, request: Request, context: Context
    ) -> job_pb2.Job:
        by, metadata = self._asker(), commands.metadata_of(request, context)
        asked = command.read(request, by.caller, metadata, subject=f"jobs/{job_id}")
        answer = await self._commands.jobs.run(asked, job_id, by, metadata)
        commands.answer(context, answer)
        answered = JobId(str(answer.stream_id))
        spoken = await self._queries.jobs.in_words(
            metadata.tenant, answered, found_job(answer.state)
        )
        actions = offered(by, spoken, allowed_actions(spoken))
        return codec.job_message(answered, Known(spoken, answer.version), actions)

    async def run_on_site(
        self, command: codec.Command[Any], site_id: SiteId, request: Request, context: Context
    ) -> site_pb2.Site:
        by, metadata = self._asker(), commands.metadata_of(request, context)
        asked = command.read(request, by.caller, metadata)
        answer = await self._commands.sites.run(asked, site_id, by, metadata)
        commands.answer(context, answer)
        known = Known(found_site(answer.state), answer.version)
        return codec.site_message(SiteId(str(answer.stream_id)), known)

    async def run_on_settings(
        self, command: codec.Command[Any], request: Request, context: Context
    ) -> site_pb2.Settings:
        by, metadata = self._asker(), commands.metadata_of(request, context)
        asked = command.read(request, by.caller, metadata)
        answer = await self._commands.settings.run(asked, by, metadata)
        commands.answer(context, answer)
        return codec.settings_message(Known(answer.state, answer.version))

    def _asker(self) -> CallerAsks:
        return asking(self._policies)

    def _new_id(self) -> str:
        return str(self._ids.new())


def _after(request: pb.ListJobsRequest | pb.ListSitesRequest) -> After | None:
    opened = pages.opened(request)
    return After(*opened) if opened else None


def _token(request: pb.ListJobsRequest | pb.ListSitesRequest, end: After | None) -> str:
    return pages.sealed(request, end.key, end.id) if end else ""
