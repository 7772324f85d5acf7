import asyncio
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any, TypeAlias

import aiohttp
import grpc
import pytest
from aiohttp import web
from pydantic import SecretStr

from runtime import context
from runtime.context import Errand
from runtime.grpc import channel
from runtime.service import Service
from runtime.settings import Workload
from runtime.workload import WorkloadTokens, WorkloadTokenUnavailable
from testkit.tokens import Issuer

Stub: TypeAlias = Any  # compiled while the tests run: no checker can know it
Message: TypeAlias = Any


class TokenServer:
    """Gives tokens to whoever knows the secret; counts them."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.given = 0
        self.seconds = 600.0
        self.url = ""

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert (form["grant_type"], form["client_secret"]) == ("client_credentials", "s3cret")
        self.given += 1
        token = self.issuer.workload_token(str(form["client_id"]))
        return web.json_response({"access_token": token, "expires_in": self.seconds})


@pytest.fixture
async def server(issuer: Issuer) -> AsyncIterator[TokenServer]:
    server = TokenServer(issuer)
    app = web.Application()
    app.router.add_post("/token", server.token)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    yield server
    await runner.cleanup()


@pytest.fixture
async def tokens(server: TokenServer) -> AsyncIterator[WorkloadTokens]:
    settings = Workload(
        token_url=server.url, client_id="vehicle", client_secret=SecretStr("s3cret")
    )
    async with aiohttp.ClientSession() as session:
        yield WorkloadTokens(settings, session)


async def test_a_token_is_fetched_once_for_all(tokens: WorkloadTokens, server: TokenServer) -> None:
    given = await asyncio.gather(*(tokens.token() for _ in range(50)))

    assert len(set(given)) == 1
    assert server.given == 1


async def test_a_token_is_renewed_before_it_expires(
    tokens: WorkloadTokens, server: TokenServer
) -> None:
    server.seconds = 0.0
    await tokens.token()
    server.seconds = 600.0
    await tokens.token()
    await tokens.token()

    assert server.given == 2


async def test_an_issuer_that_is_away_is_a_trouble_that_passes() -> None:
    nowhere = Workload(token_url="http://127.0.0.1:1/", client_id="x", client_secret=SecretStr("x"))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(WorkloadTokenUnavailable):
            await WorkloadTokens(nowhere, session).token()


class Scales:
    Weigh = None  # not called here

    def __init__(self, pb: ModuleType) -> None:
        self.pb = pb
        self.seen: list[context.Call] = []

    async def Peek(self, request: Message, _: object) -> Message:  # noqa: N802 -- gRPC's name
        self.seen.append(context.call())
        return self.pb.Weight()

    async def Watch(self, request: Message, _: object) -> AsyncIterator[Message]:  # noqa: N802
        self.seen.append(context.call())
        yield self.pb.Weight()


async def test_a_service_calls_its_peer_on_behalf_of_an_events_tenant(
    service: Service, tokens: WorkloadTokens, pb: ModuleType, pb_grpc: ModuleType
) -> None:
    scales = Scales(pb)
    service.grpc(pb_grpc.add_ProbeServiceServicer_to_server, scales)
    await service.start()
    errand = Errand("acme", correlation_id="correlation-1", causation_id="event-1")
    request = pb.WeighRequest(
        short_title="crate", kind=1, marks=["a", "b"], main_part=pb.Part(part_number="p1")
    )

    async with channel(f"127.0.0.1:{service.port}", tokens) as peer:
        stub = pb_grpc.ProbeServiceStub(peer)
        with context.acting_for(errand):
            await stub.Peek(pb.PeekRequest())
            async for _ in stub.Watch(request):
                pass

    for call in scales.seen:
        assert call.caller is not None
        assert (call.caller.workload, call.caller.tenant) == ("vehicle", "acme")
        assert (call.correlation_id, call.causation_id) == ("correlation-1", "event-1")
    assert len(scales.seen) == 2


async def test_a_token_whose_key_was_withdrawn_is_replaced_within_the_call(
    service: Service,
    tokens: WorkloadTokens,
    server: TokenServer,
    pb: ModuleType,
    pb_grpc: ModuleType,
) -> None:
    service.grpc(pb_grpc.add_ProbeServiceServicer_to_server, Scales(pb))
    await service.start()
    stale = Issuer(server.issuer.issuer).workload_token("vehicle")
    tokens._token, tokens._stale_at = stale, float("inf")

    async with channel(f"127.0.0.1:{service.port}", tokens) as peer:
        for _ in range(2):
            await pb_grpc.ProbeServiceStub(peer).Peek(pb.PeekRequest())

    assert server.given == 1


async def test_a_service_that_nobody_knows_is_refused_and_asks_no_third_time(
    service: Service,
    server: TokenServer,
    tokens: WorkloadTokens,
    pb: ModuleType,
    pb_grpc: ModuleType,
) -> None:
    service.grpc(pb_grpc.add_ProbeServiceServicer_to_server, Scales(pb))
    await service.start()
    server.issuer = Issuer("https://nobody.test")

    async with channel(f"127.0.0.1:{service.port}", tokens) as peer:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await pb_grpc.ProbeServiceStub(peer).Peek(pb.PeekRequest())

    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert server.given == 2


async def test_a_peer_that_is_away_is_a_trouble_that_passes(
    tokens: WorkloadTokens, pb: ModuleType, pb_grpc: ModuleType
) -> None:
    async with channel("127.0.0.1:1", tokens) as nowhere:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await pb_grpc.ProbeServiceStub(nowhere).Peek(pb.PeekRequest())

    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
