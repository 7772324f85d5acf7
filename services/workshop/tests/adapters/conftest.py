"""A workshop that answers over gRPC, and people who ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, ClassVar
from uuid import UUID

import pytest

from assembly.logs import PeerArrivals
from bayline.workshop.v1 import job_pb2, site_pb2
from bayline.workshop.v1 import workshop_service_pb2 as pb
from bayline.workshop.v1.workshop_service_pb2_grpc import WorkshopServiceStub
from eventstore.chain import shard_of
from eventstore.keyring import InMemoryKeyring
from eventstore.postgres import PostgresEventStore
from eventstore.sealing import Sealing
from messaging.envelope import Envelope
from messaging.parking import Projection
from runtime.service import Service
from runtime.settings import Kafka
from testkit.desk import Desk, fresh_settings, new_id, running
from testkit.grpc_service import (
    Feed,
    WithoutKafka,
    learn,
)
from testkit.servers import KafkaServer, NewDatabase
from testkit.tokens import Issuer
from testkit.topics import topics
from workshop.adapters import kafka
from workshop.adapters.codec import JOB_EVENTS, SITE_EVENTS, TENANT_EVENTS
from workshop.adapters.facts import PostgresFacts
from workshop.adapters.projections import fleet, roster
from workshop.application.commands import JobCommands
from workshop.application.facts import (
    CertificationGranted,
    CertificationRevoked,
    TechnicianRegistered,
    VehicleRegistered,
)
from workshop.application.job_facts import JobFactsReader
from workshop.application.policies import Cause, CertificationPolicy
from workshop.domain.values import TechnicianId
from workshop.main import main
from workshop.settings import Settings

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BRAKES = "013-001-015"
TOPICS = [kafka.JOBS, kafka.SITES, TENANT_EVENTS.log, kafka.FLEET, kafka.ROSTER]


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 -- the service's clock is the system's, so is the test's


@dataclass
class Shop(Desk):
    """One tenant's workshop."""

    contract: ClassVar[ModuleType] = pb

    feed: Feed
    policy: CertificationPolicy
    versions: dict[str, int] = field(default_factory=dict)

    async def events(self, job: job_pb2.Job) -> int:
        """How many events the job's stream has, as the store counts them."""
        query = "SELECT count(*) FROM es.event WHERE tenant = %s AND stream = %s"
        stream = job.name.removeprefix("jobs/")
        async with self.running.relay.connection() as connection:
            found = await connection.execute(query, (self.tenant, stream))
            ((count,),) = await found.fetchall()
        return int(count)

    def now(self) -> datetime:
        return now()

    def reading(self, kilometres: int) -> dict[str, Any]:
        return reading(kilometres)

    async def site(self, *labels: str, code: str = "BER") -> site_pb2.Site:
        reply = await self.ask(
            "OpenSite",
            by="admin",
            title=f"Berlin {code}",
            code=code,
            zone="Europe/Berlin",
            currency="EUR",
            labour_rate_minor=9500,
            tax_rates=site_pb2.TaxRates(labour_ppm=190_000, parts_ppm=190_000),
            bays=labels or ("Bay 1", "Bay 2"),
        )
        site: site_pb2.Site = reply.message
        return site

    async def vehicle(self, plate: str = "B-AY 1", vin: str = "WDB9634031L123456") -> str:
        vehicle = new_id()
        await self.learn(fleet(), vehicle, VehicleRegistered(vin, plate))
        return f"vehicles/{vehicle}"

    async def technician(self, *codes: str) -> str:
        technician = new_id()
        events = [CertificationGranted(code, LONG_AGO, None) for code in codes]
        await self.learn(roster(), technician, TechnicianRegistered(), *events)
        return f"technicians/{technician}"

    async def revoke(self, technician: str, code: str, at: datetime) -> None:
        stream = technician.removeprefix("technicians/")
        await self.learn(roster(), stream, CertificationRevoked(code, at))
        await self.policy.revoked(TechnicianId(stream), Cause(self.tenant, new_id()))

    async def learn(self, projection: Projection, stream: str, *events: Any) -> None:
        batch = [(self._envelope(stream), event) for event in events]
        await learn(self.running.projector, projection, batch)

    def _envelope(self, stream: str) -> Envelope:
        version = self.versions[stream] = self.versions.get(stream, 0) + 1
        return Envelope(
            topic="",
            shard=shard_of(self.tenant, UUID(stream)),
            pos=version,
            tenant=self.tenant,
            stream=stream,
            version=version,
            event_id=new_id(),
            type="",
            occurred_at=now(),
            recorded_at=now(),
            data=b"",
            meta=b"",
            previous_hash=b"",
            epoch="",
        )

    async def requested(self, site: str, vehicle: str = "", **fields: Any) -> job_pb2.Job:
        reply = await self.ask(
            "RequestJob",
            site=site,
            vehicle=vehicle or await self.vehicle(),
            source=job_pb2.JOB_SOURCE_STAFF,
            complaint="Brakes grind when cold",
            **fields,
        )
        job: job_pb2.Job = reply.message
        return job

    async def step(self, job: job_pb2.Job, rpc: str, **fields: Any) -> job_pb2.Job:
        reply = await self.ask(rpc, name=job.name, **fields)
        after: job_pb2.Job = reply.message
        return after

    async def step_site(self, site: site_pb2.Site, rpc: str, **fields: Any) -> site_pb2.Site:
        reply = await self.ask(rpc, by="admin", name=site.name, **fields)
        after: site_pb2.Site = reply.message
        return after

    async def planned(self, site: str, vehicle: str = "") -> job_pb2.Job:
        job = await self.requested(site, vehicle)
        return await self.step(
            job,
            "TriageJob",
            priority=job_pb2.PRIORITY_NON_SCHEDULED,
            reason=job_pb2.REPAIR_REASON_DRIVER_REPORT,
        )

    async def ready(self, site: str, vehicle: str = "", certification: str = "") -> job_pb2.Job:
        job = await self.planned(site, vehicle)
        job = await self.step(job, "CheckInVehicle", odometer=reading(120_000))
        job = await self.step(job, "RecordDiagnosis", cause="Pads worn", correction="New pads")
        line = job_pb2.LineEstimate(
            code=BRAKES, description="Replace front pads", certification=certification
        )
        line.labour.FromSeconds(5400)
        job = await self.step(job, "IssueEstimate", lines=[line])
        return await self.step(job, "ApproveLines", lines=[1], estimate_version=1)

    async def started(
        self, job: job_pb2.Job, technician: str, bay: str, **fields: Any
    ) -> job_pb2.Job:
        return await self.step(
            job,
            "StartWork",
            technician=technician,
            bay=bay,
            planned_end=now() + timedelta(hours=2),
            **fields,
        )


def reading(kilometres: int) -> dict[str, Any]:
    return {"value": str(kilometres), "unit": 1}


@pytest.fixture(scope="module")
def settings(database: NewDatabase, issuer: Issuer) -> Settings:
    peers = ["vehicle", "technician", "keyring"]
    return fresh_settings(Settings, "workshop", database, issuer, peers)


@pytest.fixture
async def shop(settings: Settings, issuer: Issuer) -> AsyncIterator[Shop]:
    """Projections are brought up to date by `shop.feed`."""
    async with opened(settings, issuer) as shop:
        yield shop


@pytest.fixture
async def whole_shop(
    settings: Settings, issuer: Issuer, kafka_server: KafkaServer
) -> AsyncIterator[Shop]:
    """Relays and consumers run, on topics that are empty at first."""
    kafka_settings = Kafka(bootstrap=kafka_server.bootstrap)
    changed = settings.model_copy(update={"kafka": kafka_settings})
    async with (
        topics(kafka_server, *TOPICS),
        opened(changed, issuer, Service) as shop,
    ):
        yield shop


@asynccontextmanager
async def opened(
    settings: Settings, issuer: Issuer, kind: type[Service] = WithoutKafka
) -> AsyncIterator[Shop]:
    async with running(main, settings, issuer, kind) as service:
        app, words = service.app, Sealing(InMemoryKeyring())
        jobs = PostgresEventStore(app, JOB_EVENTS, words, log=JOB_EVENTS.log)
        sites = PostgresEventStore(app, SITE_EVENTS, words, log=SITE_EVENTS.log)
        tenants = PostgresEventStore(app, TENANT_EVENTS, words, log=TENANT_EVENTS.log)
        facts = PostgresFacts(app)
        reader = JobFactsReader(jobs, sites, tenants, facts, PeerArrivals(app, {}))
        policy = CertificationPolicy(JobCommands(jobs, reader), facts, facts, service.service.clock)
        job_list, site_list, *_ = kafka.read_models(jobs)
        reactions = kafka.certifications(service.projector, policy).projection
        feed = Feed(
            service.relay,
            service.projector,
            [
                (job_list.topics, job_list.projection),
                (site_list.topics, site_list.projection),
                ([kafka.JOBS], reactions),
            ],
        )
        yield Shop(WorkshopServiceStub(service.channel), service, feed, policy)
