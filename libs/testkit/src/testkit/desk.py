"""Where one tenant's people ask a service that runs in the test's own process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import grpc.aio
import pytest

from kernel.ids import Uuid7
from runtime.database import Pool, pool
from runtime.errors import Problem, problem_of
from runtime.migrate import migrate
from runtime.service import Service
from runtime.settings import StoringSettings
from testkit.grpc_service import Client, Reply, WithoutKafka, serving, settings_for
from testkit.keys import a_keyring
from testkit.servers import NewDatabase
from testkit.tokens import Issuer, JwksServer

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=StoringSettings)

IDS = Uuid7()


def new_id() -> str:
    return str(IDS.new())


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers, and its database as each of its roles sees it."""

    service: Service
    channel: grpc.aio.Channel
    issuer: Issuer
    app: Pool
    projector: Pool
    relay: Pool


@dataclass
class Desk:
    """Everything is asked for with a key of its own, unless one is given.

    A service's tests add what its people do. `asker` is the role of whoever is not named.
    """

    contract: ClassVar[ModuleType]
    asker: ClassVar[str] = "service_manager"

    stub: Any
    running: Running
    tenant: str = field(default_factory=lambda: f"t-{new_id()}", kw_only=True)

    def person(
        self,
        role: str = "",
        *,
        subject: str = "",
        sites: Sequence[str] = ("*",),
        technician: str = "",
        tenant: str = "",
    ) -> Client:
        role = role or self.asker
        token = self.running.issuer.token(
            tenant=tenant or self.tenant,
            roles=[role],
            sites=sites,
            subject=subject or role,
            technician=technician.removeprefix("technicians/"),
        )
        return Client(token)

    async def ask(
        self, rpc: str, *, by: str | Client = "", after: str = "", **fields: Any
    ) -> Reply[Any]:
        client = self.person(by) if isinstance(by, str) else by
        request = getattr(self.contract, f"{rpc}Request")
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


def fresh_settings(
    kind: type[SettingsT],
    service: str,
    database: NewDatabase,
    issuer: Issuer,
    peers: Sequence[str],
) -> SettingsT:
    """Of a service with a database of its own; where issuer and keyring are comes later."""
    own = database(service)
    migrate(own.superuser_dsn, service)
    return settings_for(kind, own, issuer, "", peers)


@asynccontextmanager
async def running(
    main: Callable[[SettingsT, Service], Awaitable[None]],
    settings: SettingsT,
    issuer: Issuer,
    kind: type[Service] = WithoutKafka,
    keyring: str = "",
) -> AsyncIterator[Running]:
    """With a keyring of its own, unless it is said where one should be."""
    async with AsyncExitStack() as stack:
        tokens = await stack.enter_async_context(JwksServer(issuer))
        ring = a_keyring(issuer.settings(tokens.url))
        keyring = keyring or await stack.enter_async_context(ring)
        found = settings.model_copy(
            update={
                "identity": issuer.settings(tokens.url),
                "workload": settings.workload.model_copy(update={"token_url": tokens.token_url}),
                "peers": {**settings.peers, "keyring": keyring},
            }
        )
        service = await stack.enter_async_context(serving(main, found, kind))
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{service.port}")
        )
        database = settings.database
        app, projector, relay = [
            await stack.enter_async_context(pool(dsn, size=4))
            for dsn in (database.app_dsn, database.projector_dsn, database.relay_dsn)
        ]
        yield Running(service, channel, issuer, app, projector, relay)
