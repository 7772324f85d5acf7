"""Tokens: who signed them, for whom, until when; verified by every service itself."""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from joserfc import jwk, jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from kernel.clock import Clock
from kernel.errors import Unauthenticated, Unavailable
from runtime.settings import Identity

ALGORITHMS = ("RS256", "ES256")
LEEWAY_SECONDS = 5.0
REMEMBERED_SECONDS = 60.0
REMEMBERED_TOKENS = 10_000
REFETCH_SECONDS = 1.0
FRESH_SECONDS = 5.0
OLDEST_SECONDS = 900.0
LONGEST_TOKEN = 8192
LAST = 253_402_300_799  # the end of the year 9999
LEAST_RSA_BITS = 2048
FOREIGN_KEY_HEADERS = frozenset({"jku", "x5u", "jwk", "x5c", "crit"})
TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

PublicKey = jwk.RSAKey | jwk.ECKey
FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


class TokenMissing(Unauthenticated):
    pass


class TokenInvalid(Unauthenticated):
    pass


class TokenExpired(Unauthenticated):
    pass


class IdentityProviderUnreachable(Unavailable):
    pass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. A service (`workload`) has no tenant but the one of the event it handles."""

    subject: str
    tenant: str
    roles: frozenset[str]
    sites: frozenset[str]  # "*" for all
    workload: str = ""
    technician: str = ""
    expires_at: float = field(default=0.0, compare=False)  # Unix seconds; a live stream ends then


class IssuerKeys:
    """The issuer's public keys: one that it withdraws is good for `FRESH_SECONDS` at most.

    They are read again, by one for all, at least `REFETCH_SECONDS` apart: a token whose key is not
    known waits, so that a flood of made-up key ids can neither hammer the issuer nor refuse a good
    token after a rotation. While the issuer does not answer, the keys it had last are good for
    `OLDEST_SECONDS`: then nobody is let in, since nobody can tell what was withdrawn.
    """

    def __init__(self, fetch: FetchKeys, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._elapsed = elapsed
        self._keys: Mapping[str, PublicKey] = {}
        self._entries: object = None
        self._asked = self._answered = float("-inf")
        self._silent = False
        self._lookup: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> PublicKey | None:
        """The same object for as long as the issuer changes nothing."""
        age = self._elapsed() - self._answered
        if kid not in self._keys or age > OLDEST_SECONDS:
            await asyncio.shield(self._refresh())
        elif age > FRESH_SECONDS and not self._silent:
            await asyncio.wait([self._refresh()])
        elif age > FRESH_SECONDS / 2:
            self._refresh()
        return self._keys.get(kid)

    def forget(self) -> None:
        self._keys, self._entries = {}, None

    def _refresh(self) -> asyncio.Task[None]:
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.create_task(self._fetch_keys())
            self._lookup.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._lookup

    async def _fetch_keys(self) -> None:
        await asyncio.sleep(max(0.0, self._asked + REFETCH_SECONDS - self._elapsed()))
        self._asked = self._elapsed()
        try:
            document = await self._fetch()
        except IdentityProviderUnreachable:
            self._silent = True
            raise
        if document["keys"] != self._entries:
            self._keys = {kid: key for kid, key in map(_signing_key, document["keys"]) if key}
            self._entries = document["keys"]
        self._answered, self._silent = self._asked, False


def _signing_key(entry: Mapping[str, Any]) -> tuple[str, PublicKey | None]:
    """Keys for encryption, secret keys, short keys and keys of other kinds are left out."""
    kid = str(entry.get("kid", ""))
    if entry.get("use", "sig") != "sig" or not kid:
        return kid, None
    public = {
        name: value for name, value in entry.items() if name in {"kty", "n", "e", "crv", "x", "y"}
    }
    try:
        if entry.get("kty") == "RSA":
            rsa = jwk.RSAKey.import_key(public)
            return kid, rsa if rsa.raw_value.key_size >= LEAST_RSA_BITS else None
        if entry.get("kty") == "EC" and entry.get("crv") == "P-256":
            return kid, jwk.ECKey.import_key(public)
    except (JoseError, ValueError):
        return kid, None
    return kid, None


def fetch_by(session: aiohttp.ClientSession, url: str) -> FetchKeys:
    async def fetch() -> Mapping[str, Any]:
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as answer:
                answer.raise_for_status()
                document = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise IdentityProviderUnreachable("the issuer's keys cannot be read now") from error
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            raise IdentityProviderUnreachable("the issuer's keys are not a key set")
        return document

    return fetch


@dataclass(frozen=True, slots=True)
class Remembered:
    until: float
    caller: Caller
    kid: str
    key: PublicKey


class TokenVerifier:
    """Verified tokens are remembered, by hash, for a minute: until they expire, or their key goes."""

    def __init__(
        self,
        settings: Identity,
        fetch: FetchKeys,
        clock: Clock,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._keys = IssuerKeys(fetch, elapsed)
        self._clock = clock
        self._remembered: dict[bytes, Remembered] = {}

    async def verify(self, token: str) -> Caller:
        """Raises `TokenInvalid` or `TokenExpired`, and says which of the rules was broken."""
        now = self._clock.now().timestamp()
        digest = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known and now < known.until and await self._keys.key(known.kid) is known.key:
            return known.caller
        kid = _header(token)["kid"]
        key = await self._keys.key(kid)
        if key is None:
            raise TokenInvalid("the token is signed by a key that its issuer does not have")
        caller = self._caller(_claims(token, key), now)
        self._remember(digest, Remembered(_until(caller, now), caller, kid, key))
        return caller

    def forget_keys(self) -> None:
        """The next token of each key waits until the issuer has said that it is still good."""
        self._keys.forget()

    async def verify_header(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenMissing("send a token: `Authorization: Bearer ...`")
        return await self.verify(token.strip())

    def _caller(self, claims: Mapping[str, Any], now: float) -> Caller:
        expires_at = _moment(claims, "exp")
        if expires_at is None:
            raise TokenInvalid("the token never expires")
        if now >= expires_at + LEEWAY_SECONDS:
            raise TokenExpired("the token has expired")
        if now < (_moment(claims, "nbf") or 0.0) - LEEWAY_SECONDS:
            raise TokenInvalid("the token is not valid yet")
        self._check_addressee(claims)
        return self._described(claims, expires_at)

    def _check_addressee(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self._settings.issuer:
            raise TokenInvalid("the token is of another issuer")
        audience = claims.get("aud")
        if self._settings.audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenInvalid("the token is for another audience")

    def _described(self, claims: Mapping[str, Any], expires_at: float) -> Caller:
        names = self._settings.claims
        caller = Caller(
            subject=_text(claims, "sub"),
            tenant=_text(claims, names.tenant),
            roles=_texts(claims, names.roles),
            sites=_texts(claims, names.sites),
            workload=_text(claims, names.workload),
            technician=_text(claims, names.technician),
            expires_at=expires_at,
        )
        if not caller.subject:
            raise TokenInvalid("the token says nobody (sub)")
        if not caller.tenant and not caller.workload:
            raise TokenInvalid("the token says no tenant")
        if caller.tenant and not NAME.fullmatch(caller.tenant):
            raise TokenInvalid("the token's tenant is not a name")
        return caller

    def _remember(self, digest: bytes, verified: Remembered) -> None:
        if len(self._remembered) >= REMEMBERED_TOKENS:
            self._remembered.clear()
        self._remembered[digest] = verified


def _until(caller: Caller, now: float) -> float:
    return min(now + REMEMBERED_SECONDS, caller.expires_at)


def _claims(token: str, key: PublicKey) -> Mapping[str, Any]:
    try:
        signed = jws.deserialize_compact(token, key, algorithms=list(ALGORITHMS))
        return _object(signed.payload)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenInvalid("the token's signature is not good") from error


def _header(token: str) -> Mapping[str, Any]:
    """Raises for what is no token of a kind we take, before anything is looked up."""
    if len(token) > LONGEST_TOKEN:
        raise TokenInvalid(f"the token is longer than {LONGEST_TOKEN} characters")
    try:
        header = jws.extract_compact(token.encode()).headers()
        _read(urlsafe_b64decode(token.partition(".")[0].encode()))
    except (JoseError, ValueError, TypeError, AttributeError) as error:
        raise TokenInvalid("the token is not a signed JWT") from error
    if header.get("alg") not in ALGORITHMS:
        raise TokenInvalid(f"the token is not signed with {' or '.join(ALGORITHMS)}")
    if FOREIGN_KEY_HEADERS & header.keys():
        raise TokenInvalid("the token's header brings its own key")
    kid, kind = header.get("kid"), header.get("typ", "")
    if not isinstance(kid, str) or not kid:
        raise TokenInvalid("the token names no key")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise TokenInvalid("the token is not an access token")
    return header


def _object(payload: bytes) -> Mapping[str, Any]:
    claims = _read(payload)
    if not isinstance(claims, dict):
        raise TokenInvalid("the token's claims are not an object")
    return claims


def _read(raw: bytes) -> Any:
    """JSON in which no name stands twice: one reader would take the first, another the last."""
    try:
        return json.loads(raw, object_pairs_hook=_each_once)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _claim(claims: Mapping[str, Any], path: str) -> object:
    found: object = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST:
        raise TokenInvalid(f"the token's {name} is not a time")
    return float(value)


def _text(claims: Mapping[str, Any], path: str) -> str:
    value = _claim(claims, path)
    if value is None:
        return ""
    if not _is_text(value):
        raise TokenInvalid(f"the token's {path} is not a text")
    return str(value)


def _texts(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    value = _claim(claims, path)
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(map(_is_text, value)):
        raise TokenInvalid(f"the token's {path} is not a list of texts")
    return frozenset(value)


def _is_text(value: object) -> bool:
    """Without U+0000, line breaks and halves of characters, which no store or header can hold."""
    return isinstance(value, str) and value.isprintable()
