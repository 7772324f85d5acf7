"""A fleet without databases: its events in memory, and people who have a say at some sites."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from bayline.event.v1.metadata_pb2 import Metadata as StoredMetadata
from eventstore.decider import Answer
from eventstore.memory import InMemoryEventStore
from eventstore.store import Metadata
from kernel.clock import FixedClock
from kernel.errors import Forbidden
from kernel.ids import SequentialIds
from vehicle.application.commands import VehicleCommands
from vehicle.application.history import Visit
from vehicle.application.queries import After, Found, VehicleFilter, VehicleQueries
from vehicle.domain.values import SiteId, VehicleId, VinRegion
from vehicle.domain.vehicle import (
    Command,
    RegisterVehicle,
    State,
    Vehicle,
    VehicleEvent,
    existing,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TENANT = "acme"
BERLIN, HAMBURG = SiteId("berlin"), SiteId("hamburg")
VIN, OTHER_VIN = "1M8GDM9AXKP042788", "5GZCZ43D13S812715"


class NotHere(Forbidden):
    pass


@dataclass(frozen=True)
class Person:
    """`sites` are those he or she has a say at; "" stands for what belongs to none."""

    sites: Collection[str] = ("", BERLIN, HAMBURG)

    def require(self, *, site: str = "") -> None:
        if site not in self.sites:
            raise NotHere("not here")


ANYWHERE, BERLINER, HAMBURGER = Person(), Person([BERLIN]), Person([HAMBURG])


class NoList:
    """What nobody has projected."""

    async def page(
        self, tenant: str, filters: VehicleFilter, size: int, after: After | None
    ) -> tuple[Sequence[Found], After | None]:
        return [], None


class NoVisits:
    async def page(
        self, tenant: str, vehicle_id: VehicleId, size: int, after: After | None
    ) -> tuple[Sequence[Visit], After | None]:
        return [], None


class FleetOffice:
    def __init__(self) -> None:
        self.ids, self.clock = SequentialIds(), FixedClock(NOON)
        self.store = InMemoryEventStore[VehicleEvent](log="vehicles", clock=self.clock)
        self.commands = VehicleCommands(self.store)
        self.queries = VehicleQueries(self.store, NoList(), NoVisits())

    async def run(
        self,
        command: Command,
        vehicle: VehicleId,
        by: Person = ANYWHERE,
        key: str = "",
        expected: int | None = None,
    ) -> Answer[State]:
        return await self.commands.run(command, vehicle, by, self._metadata(key, expected))

    async def registered(self, vin: str = VIN, site: SiteId | None = BERLIN) -> VehicleId:
        vehicle = self.new_id()
        await self.run(truck(vin, site), vehicle)
        return vehicle

    async def vehicle(self, vehicle: VehicleId) -> Vehicle:
        return existing((await self.queries.get(TENANT, vehicle, ANYWHERE)).vehicle)

    async def fact_versions(self, vehicle: VehicleId) -> dict[str, int]:
        """Of the decision that was made last."""
        stream = await self.store.read(TENANT, UUID(vehicle))
        return dict(StoredMetadata.FromString(stream.events[-1].meta).fact_versions)

    def new_id(self) -> VehicleId:
        return VehicleId(str(self.ids.new()))

    def _metadata(self, key: str, expected: int | None) -> Metadata:
        key = key or str(self.ids.new())
        return Metadata(
            tenant=TENANT,
            actor="manager",
            request_id=key,
            fingerprint=sha256(key.encode()).digest(),
            correlation_id=key,
            causation_id=key,
            occurred_at=self.clock.now(),
            expected_version=expected,
        )


def truck(
    vin: str = VIN, site: SiteId | None = BERLIN, formerly: VehicleId | None = None
) -> RegisterVehicle:
    return RegisterVehicle(
        vin, VinRegion.NORTH_AMERICA, "B-FL 1042", "TRK-1042", "MAN", "TGX", 2022, site, formerly
    )
