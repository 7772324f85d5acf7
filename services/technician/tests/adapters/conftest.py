"""A technician service that answers over gRPC, and people who ask it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import grpc
import pytest

from bayline.technician.v1 import technician_pb2
from bayline.technician.v1 import technician_service_pb2 as pb
from bayline.technician.v1.technician_service_pb2_grpc import TechnicianServiceStub
from devstack.postgres import Server
from kernel.ids import Uuid7
from messaging.envelope import Envelope
from messaging.parking import Projection
from runtime import database as databases
from runtime.errors import Problem, problem_of
from technician.adapters import codec
from technician.adapters.projections import Roster
from technician.main import main
from technician.settings import Settings
from testkit.grpc_service import Client, Feed, Reply, prepared, serving, settings_for
from testkit.servers import NewDatabase
from testkit.tokens import Issuer, JwksServer

T = TypeVar("T")

IDS = Uuid7()
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def new_id() -> str:
    return str(IDS.new())


@dataclass
class Office:
    """Where one tenant's people are registered and asked about."""

    stub: TechnicianServiceStub
    issuer: Issuer
    app: databases.Pool
    projector: databases.Pool
    relay: databases.Pool
    feed: Feed
    tenant: str = field(default_factory=lambda: f"t-{new_id()}")
    site: str = field(default_factory=lambda: f"sites/{new_id()}")
    long_ago: datetime = LONG_AGO

    def person(
        self, role: str, *, sites: tuple[str, ...] = ("*",), technician: str = "", tenant: str = ""
    ) -> Client:
        token = self.issuer.token(
            tenant=tenant or self.tenant,
            roles=[role],
            sites=sites,
            subject=role,
            technician=technician.removeprefix("technicians/"),
        )
        return Client(token)

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

    async def registered(
        self, number: str, *, name: str = "Ada Nowak", site: str = "", **fields: Any
    ) -> technician_pb2.Technician:
        fields |= {"display_name": name, "site": site or self.site, "personnel_number": number}
        return await self.done("RegisterTechnician", **fields)

    async def changed(
        self, technician: technician_pb2.Technician, rpc: str, **fields: Any
    ) -> technician_pb2.Technician:
        return await self.done(rpc, name=technician.name, **fields)

    async def done(self, rpc: str, **fields: Any) -> technician_pb2.Technician:
        found: technician_pb2.Technician = (await self.ask(rpc, **fields)).message
        return found

    async def listed(self, **fields: Any) -> list[str]:
        """Personnel numbers of one page."""
        page: pb.ListTechniciansResponse = (await self.ask("ListTechnicians", **fields)).message
        return [each.personnel_number for each in page.technicians]

    async def learn(self, projection: Projection, envelopes: Iterable[Envelope]) -> None:
        """Past any cursor: the same events may come again."""
        contents = [(each, projection.decode(each)) for each in envelopes]
        async with self.projector.connection() as connection, connection.transaction():
            await projection.apply(connection, [each for each in contents if each[1] is not None])


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def settings(postgres_server: Server, database: NewDatabase, issuer: Issuer) -> Settings:
    """Of a service with a database and a keyring of its own; the keys' address comes later."""
    technician, keyring = database("technician"), database("keyring")
    prepared(postgres_server, technician, keyring)
    return settings_for(
        Settings, postgres_server, technician, keyring, issuer, "", peers=("workshop",)
    )


@pytest.fixture
async def office(settings: Settings, issuer: Issuer) -> AsyncIterator[Office]:
    """The roster is brought up to date by `office.feed`."""
    async with opened(settings, issuer) as office:
        yield office


@asynccontextmanager
async def opened(settings: Settings, issuer: Issuer) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(JwksServer(issuer))
        found = settings.model_copy(update={"identity": issuer.settings(keys.url)})
        service = await stack.enter_async_context(serving(main, found))
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{service.port}")
        )
        database = settings.database
        app, projector, relay = [
            await stack.enter_async_context(databases.pool(dsn, size=4))
            for dsn in (database.app_dsn, database.projector_dsn, database.relay_dsn)
        ]
        feed = Feed(relay, projector, [([codec.EVENTS.log], Roster())])
        yield Office(TechnicianServiceStub(channel), issuer, app, projector, relay, feed)
