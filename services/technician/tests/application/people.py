"""A roster without databases: a store in memory, read models that are simply told, people who may."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from eventstore.decider import Answer
from eventstore.memory import InMemoryEventStore
from eventstore.store import Metadata
from kernel.clock import FixedClock
from kernel.errors import Forbidden
from kernel.ids import SequentialIds
from kernel.personal import Personal
from technician.application.commands import TechnicianCommands
from technician.application.queries import (
    After,
    Found,
    RosterFilter,
    TechnicianQueries,
    Workload,
)
from technician.domain.technician import (
    Command,
    RegisterTechnician,
    State,
    Technician,
    TechnicianEvent,
)
from technician.domain.values import SiteId, TechnicianId

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TENANT = "acme"
BERLIN, HAMBURG = SiteId("berlin"), SiteId("hamburg")


class NotAllowed(Forbidden):
    pass


@dataclass(frozen=True)
class Person:
    """`sites` are those he or she may do things at."""

    sites: Collection[str] = (BERLIN, HAMBURG)
    required: list[tuple[str, str]] = field(default_factory=list)

    def require(self, *, site: str = "", assignee: str = "") -> None:
        self.required.append((site, assignee))
        if site not in self.sites:
            raise NotAllowed("not here")


STRANGER = Person(sites=())


@dataclass
class ToldRoster:
    found: Sequence[Found] = ()
    end: After | None = None

    async def page(
        self, tenant: str, filters: RosterFilter, size: int, after: After | None
    ) -> tuple[Sequence[Found], After | None]:
        return self.found[:size], self.end


@dataclass
class ToldWorkloads:
    async def of(self, tenant: str, technician: TechnicianId) -> Workload:
        return Workload(0, None, None, timedelta(), 0)


@dataclass
class OpenedWords:
    """Words that were opened are seen to be so. Says how many it was asked for at a time."""

    asked: list[int] = field(default_factory=list)

    async def reveal_all(
        self, tenant: str, values: Sequence[tuple[UUID, Technician]]
    ) -> Sequence[Technician]:
        self.asked.append(len(values))
        return [_opened(technician) for _, technician in values]


def _opened(sealed: Technician) -> Technician:
    name = sealed.display_name
    return replace(sealed, display_name=Personal(name.subject, f"{name.text}, opened"))


class Staff:
    """Those who work for a tenant, and what is asked about them."""

    def __init__(self) -> None:
        self.ids, self.clock = SequentialIds(), FixedClock(NOON)
        self.store = InMemoryEventStore[TechnicianEvent](log="technicians", clock=self.clock)
        self.roster, self.words = ToldRoster(), OpenedWords()
        self.commands = TechnicianCommands(self.store)
        self.queries = TechnicianQueries(self.store, self.words, self.roster, ToldWorkloads())

    def new(self) -> TechnicianId:
        return TechnicianId(str(self.ids.new()))

    def metadata(self, key: str = "", expected: int | None = None) -> Metadata:
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

    async def run(
        self,
        command: Command,
        technician: TechnicianId,
        by: Person | None = None,
        key: str = "",
        expected: int | None = None,
    ) -> Answer[State]:
        metadata = self.metadata(key, expected)
        return await self.commands.run(command, technician, by or Person(), metadata)

    async def ada(self, site: SiteId = BERLIN, number: str = "T-0042") -> TechnicianId:
        ada = self.new()
        await self.run(RegisterTechnician(said("Ada"), site, number), ada)
        return ada


def said(text: str) -> Personal:
    return Personal("technicians/ada", text)
