"""What is asked of vehicles: facts are fetched, then the decider decides."""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from eventstore.decider import Answer, Facts, execute, fold
from eventstore.store import EventStore, Metadata
from vehicle.application.ports import Asker
from vehicle.domain.values import VehicleId
from vehicle.domain.vehicle import (
    VEHICLE,
    Command,
    Fleet,
    MoveVehicle,
    RegisterVehicle,
    State,
    VehicleEvent,
    existing,
)


@dataclass(frozen=True, slots=True)
class VehicleCommands:
    store: EventStore[VehicleEvent]

    async def run(
        self, command: Command, vehicle_id: VehicleId, by: Asker, metadata: Metadata
    ) -> Answer[State]:
        return await execute(
            VEHICLE,
            command,
            stream_id=UUID(vehicle_id),
            store=self.store,
            facts=partial(self._fleet, command, metadata.tenant),
            metadata=metadata,
            guard=partial(_guard, command, by),
        )

    async def _fleet(self, command: Command, tenant: str, _: State) -> Facts[Fleet]:
        if not isinstance(command, RegisterVehicle) or command.formerly is None:
            return Facts(Fleet())
        stream = await self.store.read(tenant, UUID(command.formerly))
        stream.require_whole()
        former = fold(VEHICLE.evolve, VEHICLE.initial, stream.events)
        return Facts(Fleet(former), {f"vehicles/{command.formerly}": stream.version})


def _guard(command: Command, by: Asker, vehicle: State) -> None:
    """A vehicle is moved by whoever has a say where it is and where it comes to."""
    if not isinstance(command, RegisterVehicle):
        by.require(site=existing(vehicle).site or "")
    if isinstance(command, RegisterVehicle | MoveVehicle):
        by.require(site=command.site or "")
