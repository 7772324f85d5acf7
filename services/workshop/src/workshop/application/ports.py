"""What the workshop needs from outside."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from workshop.application.facts import KnownVehicle
from workshop.domain.job.facts import TechnicianFacts
from workshop.domain.values import JobId, TechnicianId, VehicleId

T = TypeVar("T")


class Asker(Protocol):
    """Who asks for one thing, and whether he or she may have it."""

    @property
    def roles(self) -> Collection[str]: ...
    def require(self, *, site: str = "", assignee: str = "", requester: str = "") -> None:
        """Raises a `Forbidden` unless it may be done to a thing like this."""
        ...


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """What events up to `version` of its stream told, but for those `unread` by this release."""

    value: T
    version: int
    unread: int = 0


class Facts(Protocol):
    """This service's own projection of others' events, and what else a decision is fed with."""

    async def vehicle(self, tenant: str, vehicle: VehicleId) -> Known[KnownVehicle] | None: ...
    async def technician(
        self, tenant: str, technician: TechnicianId
    ) -> Known[TechnicianFacts] | None: ...
    async def deferred_lines(self, tenant: str, vehicle: VehicleId) -> Sequence[tuple[JobId, int]]:
        """Lines put off by jobs of the vehicle that no job has taken back."""
        ...

    async def next_job_number(self, tenant: str) -> int:
        """Never given before; may leave gaps."""
        ...


class Arrivals(Protocol):
    async def complete(self, source: str) -> bool:
        """Whether all that `source` (`vehicle`, `technician`) has said so far is known here."""
        ...


class Reveal(Protocol):
    async def reveal(self, tenant: str, stream: UUID, value: T) -> T:
        """The same value with every sealed text opened: the words, or their erasure."""
        ...


class Clocks(Protocol):
    async def started(
        self, tenant: str, technician: TechnicianId, since: datetime
    ) -> Sequence[JobId]:
        """Jobs on which a clock of the technician was started at `since` or later."""
        ...
