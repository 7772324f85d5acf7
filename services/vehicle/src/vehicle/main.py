"""The parts of the vehicle service, and how they are put together."""

from assembly.service import EventSourced, Subscription
from bayline.vehicle.v1.vehicle_service_pb2_grpc import add_VehicleServiceServicer_to_server
from eventstore.keyring import NoKeys
from runtime.service import Service
from vehicle.adapters import codec
from vehicle.adapters.grpc import VehicleServicer
from vehicle.adapters.postgres import PostgresServiceHistory, PostgresVehicleList
from vehicle.adapters.projections import service_history, vehicle_list
from vehicle.application.commands import VehicleCommands
from vehicle.application.queries import VehicleQueries
from vehicle.settings import Settings


async def main(settings: Settings, service: Service) -> None:
    parts = await EventSourced.of(settings, service, NoKeys())
    store = parts.store(codec.TABLE)
    parts.peer("workshop", codec.JOB_EVENTS.log)
    queries = VehicleQueries(
        store, PostgresVehicleList(parts.app), PostgresServiceHistory(parts.app)
    )
    service.grpc(
        add_VehicleServiceServicer_to_server,
        VehicleServicer(VehicleCommands(store), queries, service.policies, service.ids),
    )
    parts.serve_logs()
    parts.project(
        Subscription([codec.EVENTS.log], vehicle_list()),
        Subscription([codec.JOB_EVENTS.log], service_history()),
    )
