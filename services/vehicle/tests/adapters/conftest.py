"""A fleet that answers over gRPC, and people who ask it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from bayline.vehicle.v1 import vehicle_pb2
from bayline.vehicle.v1 import vehicle_service_pb2 as pb
from bayline.vehicle.v1.vehicle_service_pb2_grpc import VehicleServiceStub
from devstack.postgres import Server
from kernel.ids import Uuid7
from messaging.envelope import Envelope
from runtime import database as databases
from runtime.errors import Problem, problem_of
from testkit.grpc_service import Client, Feed, Reply, prepared, serving, settings_for
from testkit.servers import NewDatabase
from testkit.tokens import Issuer, JwksServer
from vehicle.adapters import codec
from vehicle.adapters.projections import service_history, vehicle_list
from vehicle.main import main
from vehicle.settings import Settings

IDS = Uuid7()


def new_id() -> str:
    return str(IDS.new())


@dataclass
class Fleet:
    """One tenant's vehicles. Everything is asked for with a key of its own, unless one is given."""

    stub: VehicleServiceStub
    issuer: Issuer
    app: databases.Pool
    projector: databases.Pool
    feed: Feed
    tenant: str = field(default_factory=lambda: f"t-{new_id()}")

    def person(
        self, role: str = "fleet_manager", *, sites: Sequence[str] = ("*",), tenant: str = ""
    ) -> Client:
        tenant = tenant or self.tenant
        return Client(self.issuer.token(tenant=tenant, roles=[role], sites=sites, subject=role))

    async def ask(
        self, rpc: str, *, by: Client | None = None, after: str = "", **fields: Any
    ) -> Reply[Any]:
        request = getattr(pb, f"{rpc}Request")
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            fields.setdefault("request_id", new_id())
        sent = {"after": after} if after else {}
        client = by or self.person()
        return await client.ask(getattr(self.stub, rpc), request(**fields), **sent)

    async def refusal(self, rpc: str, **fields: Any) -> Problem:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.ask(rpc, **fields)
        return problem_of(refused.value)

    async def race(
        self, asked: Iterable[Awaitable[Reply[Any]]]
    ) -> tuple[list[Reply[Any]], list[Problem]]:
        """All at once: the answers, and the refusals."""
        answers = await asyncio.gather(*asked, return_exceptions=True)
        won = [each for each in answers if isinstance(each, Reply)]
        lost = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
        assert len(won) + len(lost) == len(answers), answers
        return won, [problem_of(each) for each in lost]

    async def registers(self, **fields: Any) -> Reply[Any]:
        return await self.ask("RegisterVehicle", **self.typed(**fields))

    async def registered(self, **fields: Any) -> vehicle_pb2.Vehicle:
        vehicle: vehicle_pb2.Vehicle = (await self.registers(**fields)).message
        return vehicle

    def typed(self, **fields: Any) -> dict[str, Any]:
        """A registration, without a VIN unless one is given: there may be many."""
        return {
            "vin": "",
            "vin_region": vehicle_pb2.VIN_REGION_NORTH_AMERICA,
            "plate": "b-fl 1042",
            "asset_number": "TRK-1042",
            "make": "MAN",
            "model": "TGX 18.470",
            "model_year": 2022,
        } | fields

    async def learn(self, batch: Sequence[Envelope]) -> None:
        """Job events come to the service history, all of them in one transaction."""
        history = service_history()
        decoded = [(envelope, history.decode(envelope)) for envelope in batch]
        async with self.projector.connection() as connection, connection.transaction():
            await history.apply(connection, decoded)


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def settings(postgres_server: Server, database: NewDatabase, issuer: Issuer) -> Settings:
    """Of a service with a database and a keyring of its own; the keys' address comes later."""
    vehicle, keyring = database("vehicle"), database("keyring")
    prepared(postgres_server, vehicle, keyring)
    return settings_for(
        Settings, postgres_server, vehicle, keyring, issuer, "", peers=("workshop",)
    )


@pytest.fixture
async def fleet(settings: Settings, issuer: Issuer) -> AsyncIterator[Fleet]:
    """The list is brought up to date by `fleet.feed`, the service history by `fleet.learn`."""
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(JwksServer(issuer))
        identity = issuer.settings(keys.url)
        with_keys = settings.model_copy(update={"identity": identity})
        service = await stack.enter_async_context(serving(main, with_keys))
        address = f"127.0.0.1:{service.port}"
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        database = settings.database
        app, projector, relay = [
            await stack.enter_async_context(databases.pool(dsn, size=4))
            for dsn in (database.app_dsn, database.projector_dsn, database.relay_dsn)
        ]
        feed = Feed(relay, projector, [([codec.EVENTS.log], vehicle_list())])
        yield Fleet(VehicleServiceStub(channel), issuer, app, projector, feed)
