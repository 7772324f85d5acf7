"""A gateway whose services are one fake, called over ASGI with tokens of a test issuer."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import orjson
import pytest

from gateway import application
from gateway.identity import Guarded
from gateway.limits import Limiter
from gateway.main import OWN, PEERS, RECORDS
from gateway.settings import Http, Limits, Login, Settings
from kernel.clock import SystemClock
from kernel.ids import SequentialIds
from runtime.admin import Probes
from runtime.identity import TokenVerifier
from runtime.policy import Policies
from testkit.asgi import Answered, Call, FakeHandler, request
from testkit.tokens import Issuer


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
def call(issuer: Issuer, settings: Settings, policies: Policies, service: FakeHandler) -> Call:
    """A client: verb, path and body, headers by keyword; an empty token sends none."""

    async def keys() -> Mapping[str, Any]:
        return issuer.jwks()

    limiter = Limiter(settings.limits.rate)
    verifier = TokenVerifier(issuer.settings(), keys, SystemClock())
    handlers = {
        each: Guarded(service, verifier, limiter, policies) for each in (*PEERS.values(), OWN)
    }
    records = chain.from_iterable(RECORDS.values())
    probes = Probes("gateway", "test")
    app = application.build(settings, handlers, records, probes, SequentialIds())

    async def called(
        verb: str, path: str, body: object = None, *, token: str | None = None, **headers: str
    ) -> Answered:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token != "":
            sent["authorization"] = f"Bearer {token or issuer.token()}"
        payload = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        if payload:
            sent = {"content-type": "application/json", "content-length": str(len(payload)), **sent}
        return await request(app, verb, path, sent, payload)

    return called
