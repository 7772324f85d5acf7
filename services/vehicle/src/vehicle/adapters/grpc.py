"""VehicleService: translate, call, translate back."""

from typing import Any, TypeAlias

from grpc.aio import ServicerContext

from bayline.vehicle.v1 import vehicle_pb2
from bayline.vehicle.v1 import vehicle_service_pb2 as pb
from bayline.vehicle.v1.vehicle_service_pb2_grpc import VehicleServiceServicer
from kernel.ids import IdGenerator
from runtime import commands, pages
from runtime.asking import CallerAsks, asking
from runtime.policy import Policies
from vehicle.adapters import codec
from vehicle.application.commands import VehicleCommands
from vehicle.application.queries import After, Found, VehicleFilter, VehicleQueries
from vehicle.domain.values import VehicleId
from vehicle.domain.vehicle import Command, existing

Context: TypeAlias = ServicerContext[Any, Any]


class VehicleServicer(VehicleServiceServicer):
    def __init__(
        self,
        commands: VehicleCommands,
        queries: VehicleQueries,
        policies: Policies,
        ids: IdGenerator,
    ) -> None:
        self._commands, self._queries = commands, queries
        self._policies, self._ids = policies, ids

    async def RegisterVehicle(  # noqa: N802 -- the RPC's name
        self, request: pb.RegisterVehicleRequest, context: Context
    ) -> vehicle_pb2.Vehicle:
        vehicle_id = VehicleId(str(self._ids.new()))
        return await self._run(codec.REGISTER.from_message(request), vehicle_id, request, context)

    async def _change(self, request: codec.ChangeRequest, context: Context) -> vehicle_pb2.Vehicle:
        vehicle_id = codec.vehicle_id(request.name)
        return await self._run(codec.change(request), vehicle_id, request, context)

    ChangePlate = _change
    MoveVehicle = _change
    ChangeAssetNumber = _change
    SellVehicle = _change

    async def GetVehicle(  # noqa: N802 -- the RPC's name
        self, request: pb.GetVehicleRequest, context: Context
    ) -> vehicle_pb2.Vehicle:
        asker = self._asker()
        vehicle = codec.vehicle_id(request.name)
        return codec.resource(await self._queries.get(asker.tenant, vehicle, asker))

    async def ListVehicles(  # noqa: N802 -- the RPC's name
        self, request: pb.ListVehiclesRequest, context: Context
    ) -> pb.ListVehiclesResponse:
        asker = self._asker()
        filters = VehicleFilter(
            visible=asker.sites,
            site=codec.site_id(request.site),
            part=request.query,
        )
        found, end = await self._queries.vehicles.page(
            asker.tenant, filters, pages.size_of(request), _after(request)
        )
        return pb.ListVehiclesResponse(
            vehicles=map(codec.resource, found), next_page_token=_token(request, end)
        )

    async def ListServiceHistory(  # noqa: N802 -- the RPC's name
        self, request: pb.ListServiceHistoryRequest, context: Context
    ) -> pb.ListServiceHistoryResponse:
        asker = self._asker()
        vehicle = codec.vehicle_id(request.name)
        await self._queries.get(asker.tenant, vehicle, asker)
        visits, end = await self._queries.history.page(
            asker.tenant, vehicle, pages.size_of(request), _after(request)
        )
        return pb.ListServiceHistoryResponse(
            visits=map(codec.VISIT.to_message, visits), next_page_token=_token(request, end)
        )

    async def _run(
        self,
        command: Command,
        vehicle_id: VehicleId,
        request: codec.ChangeRequest | pb.RegisterVehicleRequest,
        context: Context,
    ) -> vehicle_pb2.Vehicle:
        metadata = commands.metadata_of(request, context)
        answer = await self._commands.run(command, vehicle_id, self._asker(), metadata)
        commands.answer(context, answer)
        vehicle = existing(answer.state)
        return codec.resource(Found(VehicleId(str(answer.stream_id)), answer.version, vehicle))

    def _asker(self) -> CallerAsks:
        return asking(self._policies)


def _after(request: pb.ListVehiclesRequest | pb.ListServiceHistoryRequest) -> After | None:
    opened = pages.opened(request)
    return After(*opened) if opened else None


def _token(
    request: pb.ListVehiclesRequest | pb.ListServiceHistoryRequest, end: After | None
) -> str:
    return pages.sealed(request, end.key, end.id) if end else ""
