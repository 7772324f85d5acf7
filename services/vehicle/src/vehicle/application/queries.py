"""What is asked of vehicles: the shapes, and the ports that answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from eventstore.decider import fold
from eventstore.store import EventStore
from vehicle.application.history import Visit
from vehicle.application.ports import Asker
from vehicle.domain.values import SiteId, VehicleId
from vehicle.domain.vehicle import VEHICLE, NoVehicle, Vehicle, VehicleEvent, existing


@dataclass(frozen=True, slots=True)
class After:
    """The last row of the page before: its sort key and its id."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class VehicleFilter:
    """Empty fields do not filter. `visible` are the sites the caller sees; None for all."""

    visible: frozenset[str] | None = None
    site: SiteId | None = None
    part: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    id: VehicleId
    version: int
    vehicle: Vehicle
    unread: int = 0  # events of a newer release that are not in it


class VehicleList(Protocol):
    async def page(
        self, tenant: str, filters: VehicleFilter, size: int, after: After | None
    ) -> tuple[Sequence[Found], After | None]:
        """Vehicles by asset number, and where they end; None on the last page."""
        ...


class ServiceHistory(Protocol):
    async def page(
        self, tenant: str, vehicle_id: VehicleId, size: int, after: After | None
    ) -> tuple[Sequence[Visit], After | None]:
        """Visits, latest first, and where they end; None on the last page."""
        ...


@dataclass(frozen=True, slots=True)
class VehicleQueries:
    store: EventStore[VehicleEvent]
    vehicles: VehicleList
    history: ServiceHistory

    async def get(self, tenant: str, vehicle_id: VehicleId, by: Asker) -> Found:
        """Folded from its events: never older than the last command."""
        stream = await self.store.read(tenant, UUID(vehicle_id))
        stream.require_undamaged()
        state = fold(VEHICLE.evolve, VEHICLE.initial, stream.events)
        if isinstance(state, NoVehicle):
            stream.require_whole()
        vehicle = existing(state)
        by.require(site=vehicle.site or "")
        return Found(vehicle_id, stream.version, vehicle, len(stream.unread))
