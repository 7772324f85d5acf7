"""The same gateway and services, with a real identity provider instead of the one for development."""

import html
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import grpc
import pytest

from bayline.event.v1.event_log_service_pb2 import GetHeadsRequest
from bayline.event.v1.event_log_service_pb2_grpc import EventLogServiceStub
from devstack import topology
from devstack.api import Api, Refused, access_token
from devstack.ports import HOST
from devstack.stack import Stack
from devstack.tokens import Person
from devstack.vins import vin
from kernel.ids import Uuid7

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

JOBS = "bayline.workshop.v1.JobEvent"
PASSWORD = "tests-only"
REDIRECT = "http://127.0.0.1:8080/docs/oauth2-redirect.html"
VERIFIER = "a-verifier-of-more-than-forty-three-characters-is-needed"
SITE = {
    "title": "Berlin North",
    "code": "BER",
    "zone": "Europe/Berlin",
    "currency": "EUR",
    "labourRateMinor": "12000",
    "taxRates": {"labourPpm": 190_000, "partsPpm": 190_000, "feesPpm": 0},
    "bays": ["Bay 1"],
}


@pytest.fixture
async def session(realm: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Like a browser it keeps cookies of this machine, and takes it for secure."""
    jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=realm)
    async with aiohttp.ClientSession(cookie_jar=jar) as opened:
        yield opened


async def test_a_job_is_requested_read_and_streamed_by_people_of_keycloak(
    session: aiohttp.ClientSession, stack: Stack, realm: str
) -> None:
    ada, dana, maya, amir, olga = [
        _api(session, stack, await _password_token(session, realm, name))
        for name in ("ada", "dana", "maya", "amir", "olga")
    ]
    site = await ada.post("/v1/sites", SITE, key=_key())
    vehicle = await ada.post("/v1/vehicles", _vehicle(site["name"]), key=_key())
    dana.after.update(ada.after)

    job = await dana.post("/v1/jobs", _request(site["name"], vehicle["name"]), key=_key())

    maya.after.update(dana.after)
    assert await maya.get(f"/v1/{job['name']}") | {"allowedActions": []} == {
        **job,
        "allowedActions": [],
    }
    assert [row["name"] for row in (await maya.get("/v1/jobs"))["jobs"]] == [job["name"]]
    streamed = await anext(amir.frames(f"/v1/streams/{JOBS}/events"))
    assert streamed["stream"] == job["name"].removeprefix("jobs/")
    with pytest.raises(Refused, match="NOT_FOUND"):
        await olga.get(f"/v1/{job['name']}")


async def test_a_caller_is_who_keycloak_says(
    session: aiohttp.ClientSession, stack: Stack, realm: str
) -> None:
    maya = _api(session, stack, await _password_token(session, realm, "maya"))

    me = await maya.get("/v1/me")

    assert (me["tenant"], me["roles"], me["sites"]) == ("acme", ["service_manager"], ["*"])


async def test_a_login_in_the_browser_needs_pkce_and_gives_a_token(
    session: aiohttp.ClientSession, stack: Stack, realm: str
) -> None:
    assert "error" in await _login(session, realm, challenge={})
    digest = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    proof = {"code_challenge": digest, "code_challenge_method": "S256"}

    answer = await _login(session, realm, challenge=proof)

    token = await _token(
        session,
        realm,
        grant_type="authorization_code",
        client_id="bayline-web",
        code=answer["code"][0],
        redirect_uri=REDIRECT,
        code_verifier=VERIFIER,
    )
    assert (await _api(session, stack, token).get("/v1/me"))["tenant"] == "acme"


async def test_a_token_for_another_audience_is_refused(
    session: aiohttp.ClientSession, stack: Stack, realm: str
) -> None:
    token = await _password_token(session, realm, "maya", client="another-product")

    with pytest.raises(Refused, match="for another audience") as refused:
        await _api(session, stack, token).get("/v1/me")

    assert refused.value.problem["status"] == 401


async def test_a_token_of_the_development_issuer_is_refused(
    session: aiohttp.ClientSession, stack: Stack
) -> None:
    person = Person("acme", ["admin"])
    token = access_token(stack.parts.environments, person, timedelta(minutes=5))

    with pytest.raises(Refused) as refused:
        await _api(session, stack, token).get("/v1/me")

    assert refused.value.problem["status"] == 401


@pytest.mark.parametrize("workload", ["gateway", "vehicle"])
async def test_a_service_reads_the_log_of_another_with_its_own_token(
    session: aiohttp.ClientSession, stack: Stack, realm: str, workload: str
) -> None:
    token = await _token(
        session,
        realm,
        grant_type="client_credentials",
        client_id=workload,
        client_secret=PASSWORD,
    )

    assert (await _heads(stack, token)).epoch


async def test_a_person_does_not_read_the_log_of_a_service(
    session: aiohttp.ClientSession, stack: Stack, realm: str
) -> None:
    token = await _password_token(session, realm, "ada")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _heads(stack, token)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def _vehicle(site: str) -> dict[str, Any]:
    return {
        "vin": vin(Random(1)),
        "vinRegion": "VIN_REGION_ELSEWHERE",
        "plate": "B-BL 1001",
        "assetNumber": "BER-0001",
        "make": "MAN",
        "model": "TGX 18.470",
        "modelYear": 2022,
        "site": site,
    }


def _request(site: str, vehicle: str) -> dict[str, Any]:
    complaint = "Brakes grind"
    return {"site": site, "vehicle": vehicle, "source": "JOB_SOURCE_DRIVER", "complaint": complaint}


def _key() -> str:
    return str(Uuid7().new())


def _api(session: aiohttp.ClientSession, stack: Stack, token: str) -> Api:
    port = topology.GATEWAY.port + stack.parts.environments.offset
    return Api(session, f"http://{HOST}:{port}", token)


async def _password_token(
    session: aiohttp.ClientSession, realm: str, name: str, client: str = "bayline-tests"
) -> str:
    return await _token(
        session,
        realm,
        grant_type="password",
        client_id=client,
        username=name,
        password=PASSWORD,
    )


async def _token(session: aiohttp.ClientSession, realm: str, **form: str) -> str:
    async with session.post(f"{realm}/protocol/openid-connect/token", data=form) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["access_token"])


async def _login(
    session: aiohttp.ClientSession, realm: str, *, challenge: dict[str, str]
) -> dict[str, list[str]]:
    """Fills in Keycloak's form, as a browser would; returns what it is sent back with."""
    query = {"client_id": "bayline-web", "response_type": "code", "redirect_uri": REDIRECT}
    async with session.get(
        f"{realm}/protocol/openid-connect/auth", params=query | challenge, allow_redirects=False
    ) as page:
        if page.status == 302:
            return parse_qs(urlsplit(page.headers["location"]).query)
        form = re.search(r'<form[^>]+action="([^"]+)"', await page.text())
    assert form
    filled = {"username": "maya", "password": PASSWORD}
    async with session.post(
        html.unescape(form[1]), data=filled, allow_redirects=False
    ) as sent_back:
        return parse_qs(urlsplit(sent_back.headers["location"]).query)


async def _heads(stack: Stack, token: str) -> Any:
    port = topology.WORKSHOP.port + stack.parts.environments.offset
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        heads = EventLogServiceStub(channel).GetHeads
        metadata = (("authorization", f"Bearer {token}"),)
        return await heads(GetHeadsRequest(log=JOBS), metadata=metadata, timeout=10)
