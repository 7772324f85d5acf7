"""A technician service that answers over gRPC, and people who ask it."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, TypeAlias

import pytest

from bayline.technician.v1 import technician_pb2
from bayline.technician.v1 import technician_service_pb2 as pb
from bayline.technician.v1.technician_service_pb2_grpc import TechnicianServiceStub
from messaging.envelope import Envelope
from messaging.parking import Projection
from technician.adapters import codec
from technician.adapters.projections import Roster
from technician.main import main
from technician.settings import Settings
from testkit.desk import Desk, fresh_settings, new_id, running
from testkit.grpc_service import Feed, learn
from testkit.servers import NewDatabase
from testkit.tokens import Issuer

Opening: TypeAlias = Callable[..., AbstractAsyncContextManager["Office"]]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Office(Desk):
    """Where one tenant's people are registered and asked about."""

    contract: ClassVar[ModuleType] = pb

    feed: Feed
    site: str = field(default_factory=lambda: f"sites/{new_id()}")
    long_ago: datetime = LONG_AGO

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
        known = [each for each in contents if each[1] is not None]
        await learn(self.running.projector, projection, known)


@pytest.fixture(scope="module")
def settings(database: NewDatabase, issuer: Issuer) -> Settings:
    return fresh_settings(Settings, "technician", database, issuer, peers=["workshop", "keyring"])


@pytest.fixture
async def office(settings: Settings, issuer: Issuer) -> AsyncIterator[Office]:
    """The roster is brought up to date by `office.feed`."""
    async with opened(settings, issuer) as office:
        yield office


@pytest.fixture
def opening(settings: Settings, issuer: Issuer) -> Opening:
    """By where its keyring is; one at a time."""
    return partial(opened, settings, issuer)


@asynccontextmanager
async def opened(settings: Settings, issuer: Issuer, keyring: str = "") -> AsyncIterator[Office]:
    async with running(main, settings, issuer, keyring=keyring) as service:
        feed = Feed(service.relay, service.projector, [([codec.EVENTS.log], Roster())])
        yield Office(TechnicianServiceStub(service.channel), service, feed)
