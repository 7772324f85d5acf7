"""What is asked of the read models: the shapes, and the ports that answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from workshop.domain.job.values import JobState, Priority
from workshop.domain.values import BayId, JobId, SiteId, TechnicianId, Timeslot, VehicleId


@dataclass(frozen=True, slots=True)
class Visible:
    """Whose jobs a caller sees: those of `sites` (None: of all), and those it asked for itself."""

    sites: frozenset[str] | None
    requester: str = ""


@dataclass(frozen=True, slots=True)
class After:
    """The last row of the page before: its sort key, as the read model writes it, and its id."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Empty fields do not filter. `mine` is a subject and a technician: asked for or assigned."""

    states: tuple[JobState, ...] = ()
    site: SiteId | None = None
    vehicle: VehicleId | None = None
    technician: TechnicianId | None = None
    mine: tuple[str, TechnicianId | None] | None = None
    query: str = ""


@dataclass(frozen=True, slots=True)
class JobSummary:
    id: JobId
    number: str
    state: JobState
    version: int
    site: SiteId
    vehicle: VehicleId
    plate: str
    vin: str
    priority: Priority | None
    technician: TechnicianId | None
    promised_at: datetime | None
    requested_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """A time that a job holds in a bay; `occupied` while the vehicle stands in it."""

    bay: BayId
    job: JobId
    number: str
    slot: Timeslot
    occupied: bool


class JobList(Protocol):
    async def page(
        self,
        tenant: str,
        visible: Visible,
        filters: JobFilter,
        order_by: str,
        size: int,
        after: After | None,
    ) -> tuple[Sequence[JobSummary], After | None]:
        """Rows in `order_by` (`requested_at`, ` desc` after it turns it round), and where they end.

        The end is None on the last page.
        """
        ...

    async def calendar(
        self, tenant: str, site: SiteId, start: datetime, end: datetime
    ) -> Sequence[CalendarEntry]:
        """What overlaps [start, end), by bay and start."""
        ...


class SiteList(Protocol):
    async def page(
        self, tenant: str, sites: frozenset[str] | None, size: int, after: After | None
    ) -> tuple[Sequence[SiteId], After | None]:
        """Sites by title; None for all that the tenant has."""
        ...
