"""Tokens of the development issuer: the claims a real one would send, signed by the same key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from kernel.clock import Clock
from kernel.ids import IdGenerator

ROLES = (
    "driver",
    "technician",
    "service_manager",
    "parts_clerk",
    "fleet_manager",
    "analyst",
    "auditor",
    "admin",
)
EVERY_SITE = "*"


@dataclass(frozen=True)
class Person:
    """Who logs in, as the login page or the command line says it."""

    tenant: str
    roles: Sequence[str]
    sites: Sequence[str] = (EVERY_SITE,)
    subject: str = ""
    technician: str = ""

    def claims(self) -> dict[str, Any]:
        technician = {"technician": self.technician} if self.technician else {}
        return technician | {
            "sub": self.subject or f"{self.tenant}-{self.roles[0]}",
            "tenant": self.tenant,
            "roles": list(self.roles),
            "sites": list(self.sites),
        }


@dataclass(frozen=True)
class Signer:
    """Signs with one RS256 key. `issuer` is the address that its JWKS is found at."""

    issuer: str
    pem: str
    clock: Clock
    ids: IdGenerator

    @cached_property
    def key(self) -> RSAKey:
        key = RSAKey.import_key(self.pem, {"use": "sig", "alg": "RS256"})
        return RSAKey.import_key(self.pem, {"kid": key.thumbprint(), "use": "sig", "alg": "RS256"})

    def public_keys(self) -> Mapping[str, Any]:
        return dict(KeySet([self.key]).as_dict(private=False))

    def sign(
        self, claims: Mapping[str, Any], *, audience: str, ttl: timedelta, typ: str = "at+jwt"
    ) -> str:
        now = int(self.clock.now().timestamp())
        standard = {
            "iss": self.issuer,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + int(ttl.total_seconds()),
            "jti": str(self.ids.new()),
        }
        header = {"alg": "RS256", "kid": self.key.kid, "typ": typ}
        return jwt.encode(header, {**claims, **standard}, self.key)
