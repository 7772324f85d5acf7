"""Messages to commands and events, and states to resources."""

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args
from uuid import UUID

from google.protobuf.message import Message

from assembly.selected import SelectedEvents
from bayline.vehicle.v1 import vehicle_pb2, vehicle_service_pb2
from bayline.workshop.v1 import events_pb2
from eventstore.mapping import Mapper, OneofCodec
from eventstore.tables import Table
from vehicle.application.history import Visit
from vehicle.application.job_events import JobEvent
from vehicle.application.queries import Found
from vehicle.domain.values import SiteId, VehicleId
from vehicle.domain.vehicle import (
    VEHICLE as DECIDER,
)
from vehicle.domain.vehicle import (
    Change,
    ChangeAssetNumber,
    ChangePlate,
    MoveVehicle,
    NoVehicle,
    RegisterVehicle,
    SellVehicle,
    State,
    Vehicle,
    VehicleEvent,
)

ChangeRequest: TypeAlias = (
    vehicle_service_pb2.ChangePlateRequest
    | vehicle_service_pb2.MoveVehicleRequest
    | vehicle_service_pb2.ChangeAssetNumberRequest
    | vehicle_service_pb2.SellVehicleRequest
)

VEHICLES, SITES = "vehicles/", "sites/"
BESIDE = ("request_id", "occurred_at")
ADDRESSED = (*BESIDE, "name", "etag")

EVENTS: OneofCodec[VehicleEvent] = OneofCodec(vehicle_pb2.VehicleEvent, get_args(VehicleEvent))
OWN: SelectedEvents[VehicleEvent] = SelectedEvents(vehicle_pb2.VehicleEvent, get_args(VehicleEvent))
JOB_EVENTS: SelectedEvents[JobEvent] = SelectedEvents(events_pb2.JobEvent, get_args(JobEvent))
REGISTER = Mapper(vehicle_service_pb2.RegisterVehicleRequest, RegisterVehicle, ignore=BESIDE)
CHANGES: Mapping[type[Message], Mapper[Any, Change]] = {
    vehicle_service_pb2.ChangePlateRequest: Mapper(
        vehicle_service_pb2.ChangePlateRequest, ChangePlate, ignore=ADDRESSED
    ),
    vehicle_service_pb2.MoveVehicleRequest: Mapper(
        vehicle_service_pb2.MoveVehicleRequest, MoveVehicle, ignore=ADDRESSED
    ),
    vehicle_service_pb2.ChangeAssetNumberRequest: Mapper(
        vehicle_service_pb2.ChangeAssetNumberRequest, ChangeAssetNumber, ignore=ADDRESSED
    ),
    vehicle_service_pb2.SellVehicleRequest: Mapper(
        vehicle_service_pb2.SellVehicleRequest, SellVehicle, ignore=ADDRESSED
    ),
}
VEHICLE = Mapper(vehicle_pb2.Vehicle, Vehicle, ignore=("name", "etag", "unread_events"))
VISIT = Mapper(vehicle_pb2.ServiceVisit, Visit)


def change(request: ChangeRequest) -> Change:
    return CHANGES[type(request)].from_message(request)


def vehicle_id(name: str) -> VehicleId:
    return VehicleId(name.removeprefix(VEHICLES))


def site_id(name: str) -> SiteId | None:
    return SiteId(name.removeprefix(SITES)) if name else None


def resource(found: Found) -> vehicle_pb2.Vehicle:
    message = VEHICLE.to_message(found.vehicle)
    message.name, message.etag = VEHICLES + found.id, str(found.version)
    message.unread_events = found.unread
    return message


def row(stream: UUID, version: int, state: State) -> vehicle_pb2.Vehicle | None:
    if isinstance(state, NoVehicle):
        return None
    return resource(Found(VehicleId(str(stream)), version, state))


TABLE = Table(EVENTS, DECIDER, row)
