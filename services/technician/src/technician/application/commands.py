"""What is asked of technicians: facts are fetched, then the decider decides."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from eventstore.decider import Answer, Facts, execute
from eventstore.store import EventStore, Metadata
from technician.application.ports import Asker
from technician.domain.technician import (
    TECHNICIAN,
    Command,
    MoveTechnician,
    RegisterTechnician,
    State,
    TechnicianEvent,
    existing,
)
from technician.domain.values import TechnicianId


@dataclass(frozen=True, slots=True)
class TechnicianCommands:
    store: EventStore[TechnicianEvent]

    async def run(
        self, command: Command, technician_id: TechnicianId, by: Asker, metadata: Metadata
    ) -> Answer[State]:
        return await execute(
            TECHNICIAN,
            command,
            stream_id=UUID(technician_id),
            store=self.store,
            facts=partial(_said_at, metadata.occurred_at),
            metadata=metadata,
            guard=partial(_guard, command, technician_id, by),
        )


async def _said_at(at: datetime, _: State) -> Facts[datetime]:
    return Facts(at)


def _guard(command: Command, technician_id: TechnicianId, by: Asker, technician: State) -> None:
    """A technician is moved by whoever has a say at both sites."""
    if not isinstance(command, RegisterTechnician):
        by.require(site=existing(technician).site, assignee=technician_id)
    if isinstance(command, RegisterTechnician | MoveTechnician):
        by.require(site=command.site)
