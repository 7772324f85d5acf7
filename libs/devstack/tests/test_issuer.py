from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientResponse, encode_basic_auth
from aiohttp.test_utils import TestClient, TestServer
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr

from devstack.grants import CODE_TTL, challenge_of
from devstack.issuer import IssuerAccount, issuer
from kernel.clock import FixedClock

MONDAY_8AM = datetime(2026, 11, 23, 8, tzinfo=UTC)
ISSUER = "http://127.0.0.1:8090"
BACK = "http://localhost:5173/callback"
VERIFIER = "a-verifier-of-at-least-forty-three-characters-long"
KEY = RSAKey.generate_key(2048).as_pem(private=True).decode()
ASKED = {
    "client_id": "bayline-web",
    "redirect_uri": BACK,
    "response_type": "code",
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
    "state": "xyz",
    "nonce": "n-1",
}
LOGIN = {"tenant": "acme", "role": "service_manager", "sites": "north, south", "subject": "maria"}
REDEEMED = {
    "grant_type": "authorization_code",
    "client_id": "bayline-web",
    "redirect_uri": BACK,
    "code_verifier": VERIFIER,
}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(MONDAY_8AM)


@pytest.fixture
async def client(clock: FixedClock) -> AsyncIterator[TestClient[Any, Any]]:
    account = IssuerAccount(
        url=ISSUER, signing_key=SecretStr(KEY), clients={"workshop": SecretStr("s3cret")}
    )
    async with TestClient(TestServer(issuer(account, clock).app())) as client:
        yield client


async def test_who_logs_in_gets_tokens_for_a_code(client: TestClient[Any, Any]) -> None:
    answer = await client.post("/token", data=REDEEMED | {"code": await _code(client)})

    tokens = await answer.json()
    assert await _claims(client, tokens["access_token"]) == {
        "iss": ISSUER,
        "aud": "bayline",
        "sub": "maria",
        "tenant": "acme",
        "roles": ["service_manager"],
        "sites": ["north", "south"],
    }
    identity = await _claims(client, tokens["id_token"])
    assert (identity["aud"], identity["nonce"]) == ("bayline-web", "n-1")


async def test_the_login_page_carries_the_request_and_escapes_it(
    client: TestClient[Any, Any],
) -> None:
    answer = await client.get("/authorize", params=ASKED | {"state": '"><script>'})

    page = await answer.text()
    assert challenge_of(VERIFIER) in page
    assert "<script>" not in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_a_code_comes_back_with_the_state_of_its_request(
    client: TestClient[Any, Any],
) -> None:
    answer = await client.post("/authorize", data=ASKED | LOGIN, allow_redirects=False)

    back = urlsplit(answer.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    assert parse_qs(back.query)["state"] == ["xyz"]


async def test_a_code_is_redeemed_once(client: TestClient[Any, Any]) -> None:
    code = await _code(client)
    await client.post("/token", data=REDEEMED | {"code": code})

    again = await client.post("/token", data=REDEEMED | {"code": code})

    assert await _refusal(again) == (400, "invalid_grant")


async def test_a_code_grows_old(client: TestClient[Any, Any], clock: FixedClock) -> None:
    code = await _code(client)
    clock.advance(CODE_TTL + timedelta(seconds=1))

    answer = await client.post("/token", data=REDEEMED | {"code": code})

    assert await _refusal(answer) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "another-verifier-that-is-just-as-long-as-the-first"},
        {"code_verifier": ""},
        {"redirect_uri": "http://localhost:5173/elsewhere"},
        {"client_id": "another"},
        {"code": "made-up"},
    ],
)
async def test_a_code_is_worth_nothing_to_others(
    client: TestClient[Any, Any], changed: dict[str, str]
) -> None:
    stolen = REDEEMED | {"code": await _code(client)} | changed

    answer = await client.post("/token", data=stolen)

    assert await _refusal(answer) == (400, "invalid_grant")


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "http://localhost.evil.example/"},
        {"redirect_uri": "http://localhost@evil.example/"},
        {"redirect_uri": "javascript://localhost/"},
        {"redirect_uri": ""},
        {"client_id": "another"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"response_type": "token"},
    ],
)
async def test_a_request_that_could_leak_a_code_is_refused(
    client: TestClient[Any, Any], changed: dict[str, str]
) -> None:
    asked = await client.get("/authorize", params=ASKED | changed)
    posted = await client.post("/authorize", data=ASKED | LOGIN | changed, allow_redirects=False)

    assert (asked.status, posted.status) == (400, 400)


@pytest.mark.parametrize("changed", [{"role": "owner"}, {"role": ""}, {"tenant": "a b"}])
async def test_nobody_logs_in_as_what_does_not_exist(
    client: TestClient[Any, Any], changed: dict[str, str]
) -> None:
    answer = await client.post("/authorize", data=ASKED | LOGIN | changed, allow_redirects=False)

    assert await _refusal(answer) == (400, "access_denied")


async def test_a_service_proves_itself_by_its_secret(client: TestClient[Any, Any]) -> None:
    asked = {"grant_type": "client_credentials"}

    by_form = await client.post(
        "/token", data=asked | {"client_id": "workshop", "client_secret": "s3cret"}
    )
    by_header = await client.post("/token", data=asked, headers=_basic("workshop", "s3cret"))

    for answer in (by_form, by_header):
        claims = await _claims(client, (await answer.json())["access_token"])
        assert (claims["workload"], claims["roles"]) == ("workshop", [])
        assert "tenant" not in claims


@pytest.mark.parametrize(("name", "secret"), [("workshop", "wrong"), ("nobody", "")])
async def test_a_wrong_secret_proves_nothing(
    client: TestClient[Any, Any], name: str, secret: str
) -> None:
    asked = {"grant_type": "client_credentials"}

    answer = await client.post("/token", data=asked, headers=_basic(name, secret))

    assert await _refusal(answer) == (401, "invalid_client")


async def test_passwords_are_no_grant(client: TestClient[Any, Any]) -> None:
    answer = await client.post("/token", data={"grant_type": "password"})

    assert await _refusal(answer) == (400, "unsupported_grant_type")


async def test_the_discovery_document_leads_to_the_rest(client: TestClient[Any, Any]) -> None:
    document = await (await client.get("/.well-known/openid-configuration")).json()

    assert document["issuer"] == ISSUER
    for name in ("authorization_endpoint", "jwks_uri", "end_session_endpoint"):
        answer = await client.get(urlsplit(document[name]).path, params=ASKED)
        assert answer.status == 200, name


async def test_the_key_is_published_without_its_secret(client: TestClient[Any, Any]) -> None:
    [key] = (await (await client.get("/jwks")).json())["keys"]

    assert {"kty", "n", "e", "kid", "use", "alg"} == set(key)


async def test_logging_out_leads_back_to_pages_of_this_machine_only(
    client: TestClient[Any, Any],
) -> None:
    here = await client.get(
        "/logout", params={"post_logout_redirect_uri": BACK}, allow_redirects=False
    )
    away = await client.get("/logout", params={"post_logout_redirect_uri": "https://evil.example"})

    assert (here.status, here.headers["Location"]) == (302, BACK)
    assert away.status == 200


async def test_only_pages_of_this_machine_may_ask(client: TestClient[Any, Any]) -> None:
    ours = await client.options("/token", headers={"Origin": "http://localhost:5173"})
    others = await client.options("/token", headers={"Origin": "https://evil.example"})

    assert ours.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    assert "x-requested-with" in ours.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Origin" not in others.headers


def _basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": encode_basic_auth(name, secret)}


async def _code(client: TestClient[Any, Any]) -> str:
    answer = await client.post("/authorize", data=ASKED | LOGIN, allow_redirects=False)
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


async def _claims(client: TestClient[Any, Any], token: str) -> dict[str, Any]:
    """Verified by the published key; without the times and the id, which differ."""
    keys = KeySet.import_key_set(await (await client.get("/jwks")).json())
    claims = jwt.decode(token, keys, algorithms=["RS256"]).claims
    return {name: claims[name] for name in claims if name not in {"iat", "nbf", "exp", "jti"}}


async def _refusal(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json())["error"]
