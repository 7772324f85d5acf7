import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from joserfc import jwk, jwt

from kernel.clock import FixedClock, SystemClock
from kernel.errors import Unauthenticated, Unavailable
from runtime.identity import TokenExpired, TokenInvalid, TokenMissing, TokenVerifier, fetch_by
from runtime.settings import ClaimNames, Identity
from testkit.tokens import Issuer, JwksServer

Forge = Callable[[Issuer], str]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def verifier(issuer: Issuer, jwks: JwksServer, session: aiohttp.ClientSession) -> TokenVerifier:
    return TokenVerifier(issuer.settings(jwks.url), fetch_by(session, jwks.url), SystemClock())


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(issuer: Issuer, alg: str) -> str:
    return f"{part({'alg': alg, 'kid': 'key-1'})}.{part(issuer.claims())}."


def signed_with_public_key(issuer: Issuer) -> str:
    """The classic confusion: the public key, which everyone has, used as a shared secret."""
    body = f"{part({'alg': 'HS256', 'kid': 'key-1'})}.{part(issuer.claims())}"
    mac = hmac.digest(issuer.keys[0].as_pem(private=False), body.encode(), hashlib.sha256)
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def with_payload_of_another(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{part(issuer.claims(tenant='other'))}.{signature}"


def by_stranger(issuer: Issuer, **header: object) -> str:
    stranger = Issuer()
    return stranger.sign(issuer.claims(), **header)


def by_curve(issuer: Issuer) -> str:
    key = jwk.ECKey.generate_key("P-256", {"kid": "key-1"})
    return jwt.encode({"alg": "ES256", "kid": "key-1"}, issuer.claims(), key)


def by_pss(issuer: Issuer) -> str:
    header = {"alg": "PS256", "kid": "key-1"}
    return jwt.encode(header, issuer.claims(), issuer.keys[0], algorithms=["PS256"])


def nested(issuer: Issuer) -> str:
    return issuer.sign(issuer.claims(), typ="JWE")


BAD_TOKENS: dict[str, Forge] = {
    "no algorithm": lambda issuer: unsigned(issuer, "none"),
    "no algorithm, spelt otherwise": lambda issuer: unsigned(issuer, "nOnE"),
    "signature cut off": lambda issuer: issuer.token().rpartition(".")[0] + ".",
    "two parts": lambda issuer: issuer.token().rpartition(".")[0],
    "five parts": lambda issuer: f"{issuer.token()}.a.b",
    "public key as secret": signed_with_public_key,
    "another algorithm of the family": by_pss,
    "another curve under a known key id": by_curve,
    "payload of another": with_payload_of_another,
    "signature changed": lambda issuer: issuer.token()[:-8] + "AAAAAAAA",
    "a stranger's key under a known key id": lambda issuer: by_stranger(issuer, kid="key-1"),
    "unknown key id": lambda issuer: by_stranger(issuer, kid="key-99"),
    "no key id": lambda issuer: by_stranger(issuer, kid=""),
    "key id that is a path": lambda issuer: by_stranger(issuer, kid="../../etc/passwd"),
    "key id that is a number": lambda issuer: issuer.sign(issuer.claims(), kid=1),
    "key set by address": lambda issuer: by_stranger(issuer, kid="key-1", jku="http://evil.test/k"),
    "good key, key set by address": lambda issuer: issuer.sign(
        issuer.claims(), jku="http://evil.test/k"
    ),
    "certificate by address": lambda issuer: by_stranger(
        issuer, kid="key-1", x5u="http://evil.test/c"
    ),
    "key in the header": lambda issuer: by_stranger(
        issuer, kid="key-1", jwk=Issuer().keys[0].as_dict(private=False)
    ),
    "critical extension": lambda issuer: issuer.sign(issuer.claims(), crit=["exp"], exp=1),
    "another kind of token": lambda issuer: issuer.sign(issuer.claims(), typ="logout+jwt"),
    "encrypted by its own word": nested,
    "another issuer": lambda issuer: issuer.token(iss="https://evil.test"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "issuer with a slash more": lambda issuer: issuer.token(iss=issuer.issuer + "/"),
    "another audience": lambda issuer: issuer.token(aud="other"),
    "audiences without ours": lambda issuer: issuer.token(aud=["a", "b"]),
    "no audience": lambda issuer: issuer.token(aud=None),
    "expired": lambda issuer: issuer.token(seconds=-60),
    "expired a little more than clocks differ": lambda issuer: issuer.token(seconds=-6),
    "no expiry": lambda issuer: issuer.token(exp=None),
    "expiry as text": lambda issuer: issuer.token(exp="2099-01-01"),
    "expiry as a truth": lambda issuer: issuer.token(exp=True),
    "expiry at infinity": lambda issuer: issuer.sign(issuer.claims(exp=float("inf"))),
    "not yet valid": lambda issuer: issuer.token(nbf=time.time() + 120),
    "validity as text": lambda issuer: issuer.token(nbf="now"),
    "nobody": lambda issuer: issuer.token(sub=None),
    "empty subject": lambda issuer: issuer.token(subject=""),
    "subject that is a list": lambda issuer: issuer.token(sub=["user-1"]),
    "no tenant": lambda issuer: issuer.token(tenant=""),
    "empty tenant": lambda issuer: issuer.sign(issuer.claims(tenant="") | {"tenant": ""}),
    "tenant that is a list": lambda issuer: issuer.sign(issuer.claims() | {"tenant": ["acme"]}),
    "tenant that is a path": lambda issuer: issuer.token(tenant="acme/../other"),
    "tenant with a line break": lambda issuer: issuer.token(tenant="acme\n"),
    "tenant that is everything": lambda issuer: issuer.token(tenant="*"),
    "roles as one text": lambda issuer: issuer.sign(issuer.claims() | {"roles": "admin"}),
    "roles with a number": lambda issuer: issuer.sign(issuer.claims() | {"roles": ["admin", 1]}),
    "sites as an object": lambda issuer: issuer.sign(issuer.claims() | {"sites": {"*": True}}),
    "workload as a truth": lambda issuer: issuer.sign(issuer.claims() | {"workload": True}),
    "claims that are a list": lambda issuer: (
        f"{part({'alg': 'RS256', 'kid': 'key-1'})}.{part([])}.AA"
    ),
    "longer than any token": lambda issuer: issuer.token(padding="x" * 9000),
    "junk": lambda issuer: "junk",
    "junk with dots": lambda issuer: "a.b.c",
    "no text at all": lambda issuer: "\x00.\xff.\u20ac",
    "dots": lambda issuer: "..",
    "empty": lambda issuer: "",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_never_accepted(
    name: str, verifier: TokenVerifier, issuer: Issuer
) -> None:
    token = BAD_TOKENS[name](issuer)

    with pytest.raises(Unauthenticated) as raised:
        await verifier.verify(token)

    assert isinstance(raised.value, TokenInvalid | TokenExpired)
    assert token not in raised.value.message or len(token) < 9


async def test_a_good_token_tells_who_asks(verifier: TokenVerifier, issuer: Issuer) -> None:
    token = issuer.token(tenant="acme", roles=["technician"], sites=["s-1"], technician="t-1")

    caller = await verifier.verify(token)

    assert (caller.subject, caller.tenant) == ("user-1", "acme")
    assert (caller.roles, caller.sites) == (frozenset({"technician"}), frozenset({"s-1"}))
    assert (caller.technician, caller.workload) == ("t-1", "")
    assert caller.expires_at > time.time()


async def test_a_service_needs_no_tenant(verifier: TokenVerifier, issuer: Issuer) -> None:
    caller = await verifier.verify(issuer.workload_token("vehicle"))

    assert (caller.workload, caller.tenant, caller.roles) == ("vehicle", "", frozenset())


async def test_one_of_several_audiences_is_enough(verifier: TokenVerifier, issuer: Issuer) -> None:
    assert (await verifier.verify(issuer.token(aud=["account", "bayline"]))).tenant == "acme"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic dXNlcg==", "eyJhbGciOiJub25lIn0"]
)
async def test_a_header_without_a_bearer_token_is_no_token(
    header: str, verifier: TokenVerifier
) -> None:
    with pytest.raises(TokenMissing):
        await verifier.verify_header(header)


async def test_a_remembered_token_still_expires(
    issuer: Issuer, jwks: JwksServer, session: aiohttp.ClientSession
) -> None:
    clock = FixedClock(datetime.now(UTC))  # noqa: TID251 -- the token's issuer lives now
    verifier = TokenVerifier(issuer.settings(jwks.url), fetch_by(session, jwks.url), clock)
    token = issuer.token(seconds=30)
    await verifier.verify(token)

    clock.advance(timedelta(seconds=36))
    with pytest.raises(TokenExpired):
        await verifier.verify(token)


async def test_keys_rotate_without_a_failed_request(session: aiohttp.ClientSession) -> None:
    issuer = Issuer()
    async with JwksServer(issuer) as jwks:
        verifier = TokenVerifier(issuer.settings(), fetch_by(session, jwks.url), SystemClock())
        before = [issuer.token(subject=f"user-{number}") for number in range(20)]
        await asyncio.gather(*map(verifier.verify, before))

        issuer.rotate(keep_old=True)
        after = [issuer.token(subject=f"user-{number}") for number in range(20)]
        callers = await asyncio.gather(*map(verifier.verify, [*before, *after]))

        assert [caller.subject for caller in callers] == [f"user-{n}" for n in range(20)] * 2
        assert jwks.reads == 2


async def test_made_up_keys_do_not_hammer_the_issuer_nor_refuse_a_good_token(
    session: aiohttp.ClientSession,
) -> None:
    issuer = Issuer()
    async with JwksServer(issuer) as jwks:
        verifier = TokenVerifier(issuer.settings(), fetch_by(session, jwks.url), SystemClock())
        await verifier.verify(issuer.token())
        issuer.rotate()

        made_up = [verifier.verify(by_stranger(issuer, kid=f"no-{n}")) for n in range(5)]
        *refused, caller = await asyncio.gather(
            *made_up, verifier.verify(issuer.token(subject="late")), return_exceptions=True
        )

        assert {type(error) for error in refused} == {TokenInvalid}
        assert getattr(caller, "subject", caller) == "late"
        assert jwks.reads == 2


async def test_known_keys_outlive_an_issuer_that_is_down(session: aiohttp.ClientSession) -> None:
    issuer = Issuer()
    async with JwksServer(issuer) as jwks:
        verifier = TokenVerifier(issuer.settings(), fetch_by(session, jwks.url), SystemClock())
        await verifier.verify(issuer.token(subject="first"))

    assert (await verifier.verify(issuer.token(subject="second"))).subject == "second"
    with pytest.raises(Unavailable):
        await verifier.verify(by_stranger(issuer, kid="unknown"))


async def test_keys_for_encryption_and_short_keys_sign_nothing(
    session: aiohttp.ClientSession,
) -> None:
    issuer = Issuer()
    entry = issuer.jwks()["keys"][0]

    async def fetch() -> dict[str, Any]:
        secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "key-1", "use": "sig"}
        return {
            "keys": [
                dict(entry, use="enc"),
                secret,
                {"kty": "RSA", "kid": "key-1", "n": "AQ", "e": "AQAB"},
            ]
        }

    verifier = TokenVerifier(issuer.settings(), fetch, SystemClock())
    with pytest.raises(TokenInvalid):
        await verifier.verify(issuer.token())


async def test_claims_may_stand_deeper_under_other_names(session: aiohttp.ClientSession) -> None:
    issuer = Issuer()
    names = ClaimNames(tenant="org.id", roles="realm_access.roles")
    settings = Identity(issuer=issuer.issuer, jwks_url="", audience="bayline", claims=names)
    token = issuer.token(tenant="", org={"id": "acme"}, realm_access={"roles": ["admin"]})
    async with JwksServer(issuer) as jwks:
        verifier = TokenVerifier(settings, fetch_by(session, jwks.url), SystemClock())

        caller = await verifier.verify(token)

    assert (caller.tenant, caller.roles) == ("acme", frozenset({"admin"}))
