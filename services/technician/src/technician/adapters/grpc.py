"""TechnicianService: translate, call, translate back."""

from typing import Any, TypeAlias

from grpc.aio import ServicerContext

from bayline.technician.v1 import technician_pb2
from bayline.technician.v1 import technician_service_pb2 as pb
from bayline.technician.v1.technician_service_pb2_grpc import TechnicianServiceServicer
from kernel.clock import Clock
from kernel.ids import IdGenerator
from runtime import commands, pages
from runtime.asking import CallerAsks, asking
from runtime.policy import Policies
from technician.adapters import codec
from technician.adapters.codec import Request
from technician.application.commands import TechnicianCommands
from technician.application.queries import After, Found, RosterFilter, TechnicianQueries
from technician.domain.technician import existing
from technician.domain.values import TechnicianId

Context: TypeAlias = ServicerContext[Any, Any]


class TechnicianServicer(TechnicianServiceServicer):
    def __init__(
        self,
        commands: TechnicianCommands,
        queries: TechnicianQueries,
        policies: Policies,
        ids: IdGenerator,
        clock: Clock,
    ) -> None:
        self._commands, self._queries = commands, queries
        self._policies, self._ids, self._clock = policies, ids, clock

    async def RegisterTechnician(  # noqa: N802 -- the RPC's name
        self, request: pb.RegisterTechnicianRequest, context: Context
    ) -> technician_pb2.Technician:
        return await self._run(request, TechnicianId(str(self._ids.new())), context)

    async def _change(self, request: Request, context: Context) -> technician_pb2.Technician:
        return await self._run(request, codec.technician_id(request.name), context)

    RenameTechnician = _change
    MoveTechnician = _change
    GrantCertification = _change
    RevokeCertification = _change
    LeaveCompany = _change

    async def GetTechnician(  # noqa: N802 -- the RPC's name
        self, request: pb.GetTechnicianRequest, context: Context
    ) -> technician_pb2.Technician:
        asker = self._asker()
        technician = codec.technician_id(request.name)
        return codec.resource(await self._queries.get(asker.tenant, technician, asker))

    async def GetWorkload(  # noqa: N802 -- the RPC's name
        self, request: pb.GetWorkloadRequest, context: Context
    ) -> technician_pb2.Workload:
        asker = self._asker()
        technician = codec.technician_id(request.name)
        work = await self._queries.workload(asker.tenant, technician, asker)
        return codec.workload(technician, work)

    async def ListTechnicians(  # noqa: N802 -- the RPC's name
        self, request: pb.ListTechniciansRequest, context: Context
    ) -> pb.ListTechniciansResponse:
        asker, after = self._asker(), pages.opened(request)
        filters = RosterFilter(
            at=self._clock.now(),
            visible=asker.sites,
            site=codec.site_id(request.site),
            certification=request.certification,
            include_inactive=request.include_inactive,
        )
        found, end = await self._queries.page(
            asker.tenant, filters, pages.size_of(request), After(*after) if after else None
        )
        token = pages.sealed(request, end.key, end.id) if end else ""
        return pb.ListTechniciansResponse(
            technicians=map(codec.resource, found), next_page_token=token
        )

    async def _run(
        self, request: Request, technician: TechnicianId, context: Context
    ) -> technician_pb2.Technician:
        metadata = commands.metadata_of(request, context)
        asked = codec.command(request, technician)
        answer = await self._commands.run(asked, technician, self._asker(), metadata)
        commands.answer(context, answer)
        answered = TechnicianId(str(answer.stream_id))
        found = Found(answered, answer.version, existing(answer.state))
        return codec.resource(await self._queries.in_words(metadata.tenant, found))

    def _asker(self) -> CallerAsks:
        return asking(self._policies)
