"""A fleet that answers over gRPC, and people who ask it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import pytest

from bayline.vehicle.v1 import vehicle_pb2
from bayline.vehicle.v1 import vehicle_service_pb2 as pb
from bayline.vehicle.v1.vehicle_service_pb2_grpc import VehicleServiceStub
from messaging.envelope import Envelope
from testkit.desk import Desk, fresh_settings, running
from testkit.grpc_service import Feed, Reply, learn
from testkit.servers import NewDatabase
from testkit.tokens import Issuer
from vehicle.adapters import codec
from vehicle.adapters.projections import service_history, vehicle_list
from vehicle.main import main
from vehicle.settings import Settings


@dataclass
class Fleet(Desk):
    """One tenant's vehicles."""

    contract: ClassVar[ModuleType] = pb
    asker: ClassVar[str] = "fleet_manager"

    feed: Feed

    async def registers(self, **fields: Any) -> Reply[Any]:
        return await self.ask("RegisterVehicle", **self.typed(**fields))

    async def registered(self, **fields: Any) -> vehicle_pb2.Vehicle:
        vehicle: vehicle_pb2.Vehicle = (await self.registers(**fields)).message
        return vehicle

    def typed(self, **fields: Any) -> dict[str, Any]:
        """A registration, without a VIN unless one is given: there may be many."""
        return {
            "vin": "",
            "vin_region": vehicle_pb2.VIN_REGION_NORTH_AMERICA,
            "plate": "b-fl 1042",
            "asset_number": "TRK-1042",
            "make": "MAN",
            "model": "TGX 18.470",
            "model_year": 2022,
        } | fields

    async def learn(self, batch: Sequence[Envelope]) -> None:
        """Job events come to the service history, all of them in one transaction."""
        history = service_history()
        decoded = [(envelope, history.decode(envelope)) for envelope in batch]
        await learn(self.running.projector, history, decoded)


@pytest.fixture(scope="module")
def settings(database: NewDatabase, issuer: Issuer) -> Settings:
    return fresh_settings(Settings, "vehicle", database, issuer, peers=["workshop"])


@pytest.fixture
async def fleet(settings: Settings, issuer: Issuer) -> AsyncIterator[Fleet]:
    """The list is brought up to date by `fleet.feed`, the service history by `fleet.learn`."""
    async with running(main, settings, issuer) as service:
        feed = Feed(service.relay, service.projector, [([codec.EVENTS.log], vehicle_list())])
        yield Fleet(VehicleServiceStub(service.channel), service, feed)
