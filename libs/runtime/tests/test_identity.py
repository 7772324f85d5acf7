import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from kernel.clock import FixedClock, SystemClock
from kernel.errors import Unauthenticated, Unavailable
from runtime.identity import (
    FRESH_SECONDS,
    OLDEST_SECONDS,
    IdentityProviderUnreachable,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenVerifier,
    fetch_by,
)
from runtime.settings import ClaimNames, Identity
from testkit.bad_tokens import BAD_TOKENS, by_stranger
from testkit.tokens import Issuer, JwksServer


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def verifier(issuer: Issuer, jwks: JwksServer, session: aiohttp.ClientSession) -> TokenVerifier:
    return TokenVerifier(issuer.settings(jwks.url), fetch_by(session, jwks.url), SystemClock())


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


async def test_a_token_may_be_good_until_the_last_second_there_is(
    verifier: TokenVerifier, issuer: Issuer
) -> None:
    assert (await verifier.verify(issuer.token(exp=253_402_300_799))).tenant == "acme"


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


@dataclass
class Watched:
    """An issuer whose keys are read by a verifier that lives on a clock of the test's own."""

    issuer: Issuer = field(default_factory=Issuer)
    seconds: float = 0.0
    reads: int = 0
    away: bool = False
    hangs: asyncio.Event | None = None

    def __post_init__(self) -> None:
        settings = self.issuer.settings()
        self.verifier = TokenVerifier(settings, self.fetch, SystemClock(), lambda: self.seconds)

    async def fetch(self) -> dict[str, Any]:
        self.reads += 1
        if self.hangs is not None:
            await self.hangs.wait()
        if self.away:
            raise IdentityProviderUnreachable("it is away")
        return self.issuer.jwks()


@pytest.mark.parametrize(
    ("seconds", "read_by_then"),
    [(FRESH_SECONDS / 2, 1), (FRESH_SECONDS / 2 + 0.1, 2), (FRESH_SECONDS, 2)],
)
async def test_known_keys_are_read_again_before_they_are_old_and_nobody_waits(
    seconds: float, read_by_then: int
) -> None:
    watched = Watched()
    token = watched.issuer.token()
    await watched.verifier.verify(token)

    watched.seconds = seconds
    watched.hangs = asyncio.Event()
    caller = await watched.verifier.verify(token)
    await asyncio.gather(*(watched.verifier.verify(token) for _ in range(100)))

    assert caller.subject == "user-1"
    watched.hangs.set()
    await _settled(watched.verifier)
    assert watched.reads == read_by_then


@pytest.mark.parametrize("seen", [True, False], ids=["a remembered token", "a new token"])
async def test_a_withdrawn_key_is_good_for_seconds_at_most(seen: bool) -> None:
    watched = Watched()
    token, other = watched.issuer.token(), watched.issuer.token(subject="other")
    await watched.verifier.verify(token)
    watched.issuer.rotate()

    watched.seconds = FRESH_SECONDS + 0.1
    with pytest.raises(TokenInvalid):
        await watched.verifier.verify(token if seen else other)

    assert (await watched.verifier.verify(watched.issuer.token())).subject == "user-1"


async def test_a_key_that_stays_is_good_though_others_come_and_go() -> None:
    watched = Watched()
    token = watched.issuer.token()
    await watched.verifier.verify(token)
    watched.issuer.rotate(keep_old=True)

    watched.seconds = FRESH_SECONDS + 0.1
    assert (await watched.verifier.verify(token)).subject == "user-1"
    assert watched.reads == 2


async def test_an_operator_need_not_wait_for_a_withdrawn_key_to_grow_old() -> None:
    watched = Watched()
    token = watched.issuer.token()
    await watched.verifier.verify(token)
    watched.issuer.rotate()
    watched.seconds = 1.0

    watched.verifier.forget_keys()

    with pytest.raises(TokenInvalid):
        await watched.verifier.verify(token)


async def test_an_issuer_that_is_away_is_asked_once_a_second_and_no_request_waits() -> None:
    watched = Watched(away=False)
    token = watched.issuer.token()
    await watched.verifier.verify(token)
    watched.away, watched.seconds = True, FRESH_SECONDS + 0.1
    await watched.verifier.verify(token)

    watched.hangs = asyncio.Event()
    watched.seconds += 10
    callers = await asyncio.gather(*(watched.verifier.verify(token) for _ in range(100)))

    assert {caller.subject for caller in callers} == {"user-1"}
    watched.hangs.set()
    await _settled(watched.verifier)
    assert watched.reads == 3


async def test_an_issuer_that_stays_away_lets_nobody_in_until_it_is_back() -> None:
    watched = Watched()
    token = watched.issuer.token()
    await watched.verifier.verify(token)
    watched.away = True

    watched.seconds = OLDEST_SECONDS
    assert (await watched.verifier.verify(token)).subject == "user-1"
    watched.seconds = OLDEST_SECONDS + 1.1
    with pytest.raises(IdentityProviderUnreachable):
        await watched.verifier.verify(token)

    watched.away = False
    watched.seconds += 1.1
    assert (await watched.verifier.verify(token)).subject == "user-1"


async def _settled(verifier: TokenVerifier) -> None:
    lookup = verifier._keys._lookup
    assert lookup is not None
    await asyncio.wait([lookup])


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
