"""A gateway whose services are one fake, called over ASGI with tokens of a test issuer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any

import orjson
import pytest
from starlette.types import ASGIApp

from devstack.ports import HOST, free_port, is_free
from gateway import application
from gateway.http import HttpServer
from gateway.identity import Doorkeeper
from gateway.limits import AtOnce, Limiter
from gateway.main import OWN, PEERS, RECORDS
from gateway.refusals import Refusals
from gateway.settings import Http, Limits, Login, Settings
from kernel.clock import SystemClock
from kernel.ids import SequentialIds
from runtime.admin import Probes
from runtime.identity import TokenVerifier
from runtime.policy import Policies
from testkit.asgi import Answered, Call, FakeHandler, request
from testkit.tokens import Issuer
from testkit.topics import eventually


@pytest.fixture
def settings() -> Settings:
    http = Http(
        port=0,
        public_base="https://bayline.test",
        cors_origins=("http://localhost:5173",),
        body_limit_bytes=4_096,
    )
    return Settings.model_construct(http=http, login=Login(), limits=Limits())


@pytest.fixture(scope="session")
def policies() -> Policies:
    return Policies.load(*(f"bayline/{name}/v1/policies.cedar" for name in (*PEERS, "gateway")))


@pytest.fixture
def service() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


@pytest.fixture
def app(
    issuer: Issuer,
    settings: Settings,
    policies: Policies,
    service: FakeHandler,
    refusals: Refusals,
) -> ASGIApp:
    async def keys() -> Mapping[str, Any]:
        return issuer.jwks()

    verifier = TokenVerifier(issuer.settings(), keys, SystemClock())
    limiter, at_once = Limiter(settings.limits.rate), AtOnce(settings.limits)
    keeper = Doorkeeper(verifier, limiter, at_once, policies)
    handlers = dict.fromkeys((*PEERS.values(), OWN), service)
    records = chain.from_iterable(RECORDS.values())
    probes = Probes("gateway", "test")
    return application.build(settings, handlers, records, probes, SequentialIds(), keeper, refusals)


@pytest.fixture
async def served(app: ASGIApp, settings: Settings) -> AsyncIterator[int]:
    """The port of the real server, which listens already."""
    async with serving(app, settings.http) as port:
        yield port


@asynccontextmanager
async def serving(app: ASGIApp, http: Http) -> AsyncIterator[int]:
    port = free_port()
    server = HttpServer(app, http.model_copy(update={"port": port, "host": HOST}))
    running = asyncio.create_task(server.run())
    await eventually(lambda: _listens(port))
    yield port
    await server.stop()
    await running


async def _listens(port: int) -> bool:
    return not is_free(port)


@pytest.fixture
def call(issuer: Issuer, app: ASGIApp) -> Call:
    """A client: verb, path and body, headers by keyword; an empty token sends none."""

    async def called(
        verb: str, path: str, body: object = None, *, token: str | None = None, **headers: str
    ) -> Answered:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"host": "bayline.test", **named}
        if token != "":
            sent["authorization"] = f"Bearer {token or issuer.token()}"
        payload = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        if payload:
            sent = {"content-type": "application/json", "content-length": str(len(payload)), **sent}
        return await request(app, verb, path, sent, payload)

    return called
