"""Authorization codes with PKCE (RFC 7636): asked for, given once, redeemed once."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from devstack.tokens import Person
from devstack.topology import WEB_CLIENT
from kernel.clock import Clock

CODE_TTL = timedelta(minutes=1)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Refused(Exception):
    """An OAuth error: `error` is a code of RFC 6749, the message is for people."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error
        self.message = message


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """What a client asks of /authorize."""

    client_id: str
    redirect_uri: str
    challenge: str
    state: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Grant:
    request: CodeRequest
    person: Person
    until: datetime


@dataclass(frozen=True, slots=True)
class Grants:
    """The codes given out and not yet redeemed."""

    clock: Clock
    _given: dict[str, Grant] = field(default_factory=dict)

    def give(self, request: CodeRequest, person: Person) -> str:
        code = secrets.token_urlsafe(32)
        self._given[code] = Grant(request, person, self.clock.now() + CODE_TTL)
        return code

    def redeem(self, form: Mapping[str, str]) -> Grant:
        grant = self._given.pop(form.get("code", ""), None)
        if grant is None or grant.until < self.clock.now():
            raise Refused("invalid_grant", "the code is unknown, used or too old")
        asked = grant.request
        if form.get("client_id") != asked.client_id:
            raise Refused("invalid_grant", "the code was given to another client_id")
        if form.get("redirect_uri") != asked.redirect_uri:
            raise Refused("invalid_grant", "the code was given for another redirect_uri")
        if not hmac.compare_digest(challenge_of(form.get("code_verifier", "")), asked.challenge):
            raise Refused("invalid_grant", "code_verifier does not fit the code_challenge")
        return grant


def code_request(query: Mapping[str, str]) -> CodeRequest:
    if query.get("client_id") != WEB_CLIENT:
        raise Refused("invalid_request", f"client_id must be {WEB_CLIENT}")
    if not is_loopback(query.get("redirect_uri", "")):
        raise Refused("invalid_request", "redirect_uri must be on localhost")
    if query.get("response_type") != "code":
        raise Refused("unsupported_response_type", "response_type must be code")
    if query.get("code_challenge_method") != "S256" or not query.get("code_challenge"):
        raise Refused("invalid_request", "PKCE is needed: code_challenge_method must be S256")
    return CodeRequest(
        client_id=query["client_id"],
        redirect_uri=query["redirect_uri"],
        challenge=query["code_challenge"],
        state=query.get("state", ""),
        nonce=query.get("nonce", ""),
    )


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_loopback(address: str) -> bool:
    """Whether a redirect there stays on this machine."""
    parts = urlsplit(address)
    return parts.scheme in {"http", "https"} and parts.hostname in LOOPBACK
