"""What is asked about technicians: the shapes, and the ports that answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NewType, Protocol
from uuid import UUID

from eventstore.decider import fold
from eventstore.store import EventStore
from technician.application.ports import Asker
from technician.domain.technician import (
    TECHNICIAN,
    NoTechnician,
    Technician,
    TechnicianEvent,
    existing,
)
from technician.domain.values import SiteId, TechnicianId

JobId = NewType("JobId", str)


@dataclass(frozen=True, slots=True)
class After:
    """The last row of the page before: its sort key and its id."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class RosterFilter:
    """Empty fields do not filter. `visible` are the sites the caller sees; None for all."""

    at: datetime
    visible: frozenset[str] | None = None
    site: SiteId | None = None
    certification: str = ""
    include_inactive: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    id: TechnicianId
    version: int
    technician: Technician
    unread: int = 0  # events of a newer release that are not in it


@dataclass(frozen=True, slots=True)
class Workload:
    """`worked` is the sum of stopped clocks, as corrected."""

    assigned_jobs: int
    clocked_on: JobId | None
    clocked_since: datetime | None
    worked: timedelta
    completed_jobs: int


class Roster(Protocol):
    async def page(
        self, tenant: str, filters: RosterFilter, size: int, after: After | None
    ) -> tuple[Sequence[Found], After | None]:
        """Technicians by personnel number, and where they end; None on the last page."""
        ...


class Workloads(Protocol):
    async def of(self, tenant: str, technician: TechnicianId) -> Workload: ...


class Words(Protocol):
    async def reveal_all(
        self, tenant: str, values: Sequence[tuple[UUID, Technician]]
    ) -> Sequence[Technician]:
        """With every personal text opened; `[erased]` for a person that was forgotten."""
        ...


@dataclass(frozen=True, slots=True)
class TechnicianQueries:
    store: EventStore[TechnicianEvent]
    words: Words
    roster: Roster
    workloads: Workloads

    async def get(self, tenant: str, technician_id: TechnicianId, by: Asker) -> Found:
        """Folded from its events: never older than the last command."""
        found = await self._seen(tenant, technician_id, by)
        return await self.in_words(tenant, found)

    async def workload(self, tenant: str, technician_id: TechnicianId, by: Asker) -> Workload:
        """Needs no words of anybody, and so no keyring."""
        await self._seen(tenant, technician_id, by)
        return await self.workloads.of(tenant, technician_id)

    async def page(
        self, tenant: str, filters: RosterFilter, size: int, after: After | None
    ) -> tuple[Sequence[Found], After | None]:
        found, end = await self.roster.page(tenant, filters, size, after)
        return await self._all_in_words(tenant, found), end

    async def in_words(self, tenant: str, found: Found) -> Found:
        [opened] = await self._all_in_words(tenant, [found])
        return opened

    async def _all_in_words(self, tenant: str, found: Sequence[Found]) -> list[Found]:
        sealed = [(UUID(each.id), each.technician) for each in found]
        opened = await self.words.reveal_all(tenant, sealed)
        return [replace(each, technician=it) for each, it in zip(found, opened, strict=True)]

    async def _seen(self, tenant: str, technician_id: TechnicianId, by: Asker) -> Found:
        stream = await self.store.read(tenant, UUID(technician_id))
        stream.require_undamaged()
        state = fold(TECHNICIAN.evolve, TECHNICIAN.initial, stream.events)
        if isinstance(state, NoTechnician):
            stream.require_whole()
        technician = existing(state)
        by.require(site=technician.site, assignee=technician_id)
        return Found(technician_id, stream.version, technician, len(stream.unread))
