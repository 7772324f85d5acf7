"""A workshop that answers over gRPC, and people who ask it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import grpc
import pytest
from pydantic import SecretStr

from assembly.logs import PeerArrivals
from bayline.workshop.v1 import job_pb2, site_pb2
from bayline.workshop.v1 import workshop_service_pb2 as pb
from bayline.workshop.v1.workshop_service_pb2_grpc import WorkshopServiceStub
from devstack.postgres import Server
from eventstore.chain import shard_of
from eventstore.keyring import InMemoryKeyring
from eventstore.postgres import PostgresEventStore
from eventstore.sealing import Sealing
from kernel.ids import Uuid7
from messaging.envelope import Envelope
from messaging.parking import Projection
from runtime import database as databases
from runtime.errors import Problem, problem_of
from runtime.service import Service
from runtime.settings import Kafka
from testkit.grpc_service import (
    Client,
    Feed,
    Reply,
    WithoutKafka,
    prepared,
    serving,
    settings_for,
)
from testkit.servers import KafkaServer, NewDatabase
from testkit.tokens import Issuer, JwksServer
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

T = TypeVar("T")

IDS = Uuid7()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BRAKES = "013-001-015"
TOPICS = [kafka.JOBS, kafka.SITES, TENANT_EVENTS.log, kafka.FLEET, kafka.ROSTER]


def new_id() -> str:
    return str(IDS.new())


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 -- the service's clock is the system's, so is the test's


@dataclass
class Shop:
    """One tenant's workshop. Everything is asked for with a key of its own, unless one is given."""

    stub: WorkshopServiceStub
    issuer: Issuer
    projector: databases.Pool
    app: databases.Pool
    relay: databases.Pool
    feed: Feed
    policy: CertificationPolicy
    tenant: str = field(default_factory=lambda: f"t-{new_id()}")
    versions: dict[str, int] = field(default_factory=dict)

    def person(
        self,
        role: str,
        *,
        subject: str = "",
        sites: tuple[str, ...] = ("*",),
        technician: str = "",
        tenant: str = "",
    ) -> Client:
        return Client(
            self.issuer.token(
                tenant=tenant or self.tenant,
                roles=[role],
                sites=sites,
                subject=subject or role,
                technician=technician,
            )
        )

    async def ask(
        self, rpc: str, *, by: str | Client = "service_manager", after: str = "", **fields: Any
    ) -> Reply[Any]:
        client = self.person(by) if isinstance(by, str) else by
        request = getattr(pb, f"{rpc}Request")
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            fields.setdefault("request_id", new_id())
        sent = {"after": after} if after else {}
        return await client.ask(getattr(self.stub, rpc), request(**fields), **sent)

    async def refusal(self, rpc: str, **fields: Any) -> Problem:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.ask(rpc, **fields)
        return problem_of(refused.value)

    async def race(self, asked: Iterable[Awaitable[T]]) -> tuple[list[T], list[Problem]]:
        """All at once: the answers, and the refusals."""
        answers = await asyncio.gather(*asked, return_exceptions=True)
        won = [each for each in answers if not isinstance(each, BaseException)]
        lost = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
        assert len(won) + len(lost) == len(answers), answers
        return won, [problem_of(each) for each in lost]

    async def events(self, job: job_pb2.Job) -> int:
        """How many events the job's stream has, as the store counts them."""
        query = "SELECT count(*) FROM es.event WHERE tenant = %s AND stream = %s"
        stream = job.name.removeprefix("jobs/")
        async with self.relay.connection() as connection:
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
        async with self.projector.connection() as connection, connection.transaction():
            batch = [(self._envelope(stream), event) for event in events]
            await projection.apply(connection, batch)

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


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def settings(postgres_server: Server, database: NewDatabase, issuer: Issuer) -> Settings:
    """Of a workshop with a database and a keyring of its own; the keys' address comes later."""
    workshop, keyring = database("workshop"), database("keyring")
    prepared(postgres_server, workshop, keyring)
    return settings_for(
        Settings,
        postgres_server,
        workshop,
        keyring,
        issuer,
        "",
        peers=("vehicle", "technician"),
    )


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
        topics(kafka_server.bootstrap, *TOPICS),
        opened(changed, issuer, Service) as shop,
    ):
        yield shop


@asynccontextmanager
async def opened(
    settings: Settings, issuer: Issuer, kind: type[Service] = WithoutKafka
) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(JwksServer(issuer))
        identity = issuer.settings(keys.url)
        serving_settings = settings.model_copy(update={"identity": identity})
        service = await stack.enter_async_context(serving(main, serving_settings, kind))
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{service.port}")
        )
        app, projector, relay = [
            await stack.enter_async_context(databases.pool(dsn, size=4)) for dsn in _dsns(settings)
        ]
        words = Sealing(InMemoryKeyring())
        jobs = PostgresEventStore(app, JOB_EVENTS, words, log=JOB_EVENTS.log)
        sites = PostgresEventStore(app, SITE_EVENTS, words, log=SITE_EVENTS.log)
        tenants = PostgresEventStore(app, TENANT_EVENTS, words, log=TENANT_EVENTS.log)
        facts = PostgresFacts(app)
        reader = JobFactsReader(jobs, sites, tenants, facts, PeerArrivals(app, {}))
        policy = CertificationPolicy(JobCommands(jobs, reader), facts, facts, service.clock)
        job_list, site_list, *_ = kafka.read_models(jobs)
        reactions = kafka.certifications(projector, policy).projection
        feed = Feed(
            relay,
            projector,
            [
                (job_list.topics, job_list.projection),
                (site_list.topics, site_list.projection),
                ([kafka.JOBS], reactions),
            ],
        )
        stub = WorkshopServiceStub(channel)
        yield Shop(stub, issuer, projector, app, relay, feed, policy)


def _dsns(settings: Settings) -> tuple[SecretStr, SecretStr, SecretStr]:
    database = settings.database
    return database.app_dsn, database.projector_dsn, database.relay_dsn
