"""A workshop without databases: stores in memory, facts that are simply told, people who may."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

from eventstore.decider import Answer
from eventstore.memory import InMemoryEventStore
from eventstore.store import Metadata
from kernel.clock import FixedClock
from kernel.errors import Forbidden
from kernel.ids import SequentialIds
from kernel.personal import Personal
from kernel.units import Distance
from workshop.adapters.codec import JOB_EVENTS, SITE_EVENTS, TENANT_EVENTS
from workshop.application.commands import JobCommands, SettingsCommands, SiteCommands
from workshop.application.facts import KnownVehicle
from workshop.application.job_facts import JobFactsReader
from workshop.application.policies import CertificationPolicy
from workshop.application.ports import Known
from workshop.application.reading import JobReader, SiteReader, found_job
from workshop.domain.job import commands
from workshop.domain.job.commands import JobCommand, LineEstimate
from workshop.domain.job.facts import Certification, TechnicianFacts
from workshop.domain.job.state import Job, NoJob
from workshop.domain.job.values import JobSource, Priority, RepairReason
from workshop.domain.site import OpenSite, Site
from workshop.domain.values import (
    BayId,
    JobId,
    SiteId,
    TaxRates,
    TechnicianId,
    VehicleId,
)

T = TypeVar("T")

NOON = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)  # half past midnight in Berlin: the next year
LONG_AGO = NOON - timedelta(days=400)
TENANT = "acme"
TRUCK = VehicleId("00000000-0000-7000-8000-0000000000aa")
ANNA = TechnicianId("00000000-0000-7000-8000-0000000000bb")
BERLIN = SiteId("00000000-0000-7000-8000-0000000000cc")


class NotAllowed(Forbidden):
    pass


@dataclass(frozen=True)
class Person:
    """`sites` are those he or she may do things at."""

    roles: Collection[str] = ("service_manager",)
    sites: Collection[str] = ("", BERLIN)
    required: list[tuple[str, str, str]] = field(default_factory=list)

    def require(self, *, site: str = "", assignee: str = "", requester: str = "") -> None:
        self.required.append((site, assignee, requester))
        if site not in self.sites:
            raise NotAllowed("not here")


STRANGER = Person(sites=())


@dataclass
class ToldFacts:
    vehicles: dict[str, Known[KnownVehicle]] = field(default_factory=dict)
    technicians: dict[str, Known[TechnicianFacts]] = field(default_factory=dict)
    deferred: list[tuple[JobId, int]] = field(default_factory=list)
    clocks: list[JobId] = field(default_factory=list)
    last_number: int = 1041
    asked: int = 0
    late: dict[int, tuple[str, Known[KnownVehicle]]] = field(default_factory=dict)

    async def vehicle(self, tenant: str, vehicle: VehicleId) -> Known[KnownVehicle] | None:
        self.asked += 1
        if self.asked in self.late:
            name, known = self.late[self.asked]
            self.vehicles[name] = known
        return self.vehicles.get(vehicle)

    async def technician(
        self, tenant: str, technician: TechnicianId
    ) -> Known[TechnicianFacts] | None:
        return self.technicians.get(technician)

    async def deferred_lines(self, tenant: str, vehicle: VehicleId) -> Sequence[tuple[JobId, int]]:
        return self.deferred

    async def started(
        self, tenant: str, technician: TechnicianId, since: datetime
    ) -> Sequence[JobId]:
        return self.clocks

    async def next_job_number(self, tenant: str) -> int:
        self.last_number += 1
        return self.last_number


@dataclass
class ToldArrivals:
    all_here: bool = True

    async def complete(self, source: str) -> bool:
        return self.all_here


class OpenWords:
    """Nothing is sealed in memory."""

    async def reveal(self, tenant: str, stream: UUID, value: T) -> T:
        return value


class Workshop:
    """One site with two bays, a truck, and Anna, who is certified for brakes."""

    def __init__(self) -> None:
        self.clock, self.ids = FixedClock(NOON), SequentialIds()
        jobs = InMemoryEventStore(log="jobs", codec=JOB_EVENTS, clock=self.clock)
        sites = InMemoryEventStore(log="sites", codec=SITE_EVENTS, clock=self.clock)
        tenants = InMemoryEventStore(log="tenants", codec=TENANT_EVENTS, clock=self.clock)
        self.store, self.site_store = jobs, sites
        self.facts, self.arrivals = ToldFacts(), ToldArrivals()
        reader = JobFactsReader(jobs, sites, tenants, self.facts, self.arrivals, patience=0.05)
        self.jobs = JobCommands(jobs, reader)
        self.sites = SiteCommands(sites, self.ids)
        self.settings = SettingsCommands(tenants)
        self.reader = JobReader(jobs, OpenWords())
        self.site_reader = SiteReader(sites, tenants)
        self.policy = CertificationPolicy(self.jobs, self.facts, self.facts, self.clock)
        self.facts.vehicles[TRUCK] = Known(KnownVehicle("VIN", "B-AY 1"), 3)
        self.certify("BRAKES")
        self.site = Site("", "", "", "")

    def certify(self, code: str, revoked_at: datetime | None = None) -> None:
        held = Certification(code, LONG_AGO, revoked_at=revoked_at)
        self.facts.technicians[ANNA] = Known(TechnicianFacts(known=True, certifications=(held,)), 5)

    def metadata(self, key: str = "") -> Metadata:
        key = key or str(self.ids.new())
        return Metadata(
            tenant=TENANT,
            actor="manager",
            request_id=key,
            fingerprint=sha256(key.encode()).digest(),
            correlation_id=key,
            causation_id=key,
            occurred_at=self.clock.now(),
        )

    async def open(self) -> None:
        opened = OpenSite(
            title="Berlin North",
            code="BER",
            zone="Europe/Berlin",
            currency="EUR",
            labour_rate_minor=9500,
            tax_rates=TaxRates(190_000, 190_000, 0),
            hours=(),
            bays=("Bay 1", "Bay 2"),
        )
        answer = await self.sites.run(opened, BERLIN, Person(), self.metadata())
        assert isinstance(answer.state, Site)
        self.site = answer.state

    @property
    def bay(self) -> BayId:
        return self.site.bays[0].id

    def new_job(self) -> JobId:
        return JobId(str(self.ids.new()))

    def request(self, vehicle: VehicleId = TRUCK, site: SiteId = BERLIN) -> commands.RequestJob:
        return commands.RequestJob(
            site=site,
            vehicle=vehicle,
            source=JobSource.DRIVER,
            complaint=said("Brakes grind"),
            system_code="",
            requester="driver",
            at=self.clock.now(),
        )

    async def run(
        self, command: JobCommand, job: JobId, by: Person | None = None, key: str = ""
    ) -> Answer[Job | NoJob]:
        return await self.jobs.run(command, job, by or Person(), self.metadata(key))

    async def after(self, job: JobId, *asked: JobCommand) -> Job:
        state: Job | NoJob = NoJob()
        for command in asked:
            state = (await self.run(command, job)).state
        return found_job(state)

    async def fact_versions(self, job: JobId) -> dict[str, int]:
        """Of the decision that was made last."""
        from bayline.event.v1.metadata_pb2 import Metadata as Meta  # noqa: PLC0415

        stream = await self.store.read(TENANT, UUID(job))
        return dict(Meta.FromString(stream.events[-1].meta).fact_versions)


def said(text: str) -> Personal:
    return Personal("jobs/1", text)


TRIAGED = commands.TriageJob(Priority.EMERGENCY, RepairReason.BREAKDOWN)
CHECKED_IN = commands.CheckInVehicle(Distance(120_000_000))
DIAGNOSED = commands.RecordDiagnosis(None, said("Pads worn"), said("New pads"))
PADS = LineEstimate(
    0, "013-001", said("Replace pads"), timedelta(minutes=90), (), 0, certification="BRAKES"
)
ESTIMATED = commands.IssueEstimate((PADS,))
APPROVED = commands.ApproveLines(1, (1,))
UNTIL_READY = (TRIAGED, CHECKED_IN, DIAGNOSED, ESTIMATED, APPROVED)


def started(workshop: Workshop) -> commands.StartWork:
    now = workshop.clock.now()
    return commands.StartWork(ANNA, workshop.bay, now + timedelta(hours=2), now)


def until_released(workshop: Workshop) -> tuple[JobCommand, ...]:
    now = workshop.clock.now()
    return (
        *UNTIL_READY,
        started(workshop),
        commands.CompleteLine(1),
        commands.StopLabour(ANNA, now),
        commands.CompleteWork(now),
        commands.PassQc("inspector", None),
        commands.ReleaseVehicle(Distance(120_000_000)),
    )


def with_line(line: LineEstimate, **changes: object) -> LineEstimate:
    return replace(line, **changes)  # type: ignore[arg-type]  # fields of LineEstimate
