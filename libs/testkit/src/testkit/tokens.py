"""An issuer of tokens for tests, and a server for its keys on a port of its own."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwk

from runtime.settings import Identity

ISSUER = "https://issuer.test"
AUDIENCE = "bayline"


@dataclass
class Issuer:
    """Signs with RS256. `rotate` makes a new key; the old ones are withdrawn unless kept."""

    issuer: str = ISSUER
    audience: str = AUDIENCE
    keys: list[jwk.RSAKey] = field(default_factory=lambda: [_rsa("key-1")])
    made: int = 1

    @property
    def kid(self) -> str:
        """Of the key that signs."""
        return str(self.keys[0].kid)

    def jwks(self) -> dict[str, Any]:
        return {"keys": [dict(key.as_dict(private=False), use="sig") for key in self.keys]}

    def rotate(self, *, keep_old: bool = False) -> None:
        self.made += 1
        self.keys = [_rsa(f"key-{self.made}"), *(self.keys if keep_old else [])]

    def claims(
        self,
        *,
        tenant: str = "acme",
        roles: Sequence[str] = ("service_manager",),
        sites: Sequence[str] = ("*",),
        subject: str = "user-1",
        technician: str = "",
        workload: str = "",
        seconds: float = 600,
        **claims: object,
    ) -> dict[str, Any]:
        """A claim given as None is left out."""
        now = int(time.time())
        named = {"tenant": tenant, "technician": technician, "workload": workload}
        made = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + int(seconds),
            "jti": f"{subject}-{now}",
            "roles": list(roles),
            "sites": list(sites),
            **{name: value for name, value in named.items() if value},
            **claims,
        }
        return {name: value for name, value in made.items() if value is not None}

    def token(self, **claims: Any) -> str:
        return self.sign(self.claims(**claims))

    def workload_token(self, workload: str) -> str:
        return self.token(tenant="", roles=(), sites=(), subject=workload, workload=workload)

    def sign(self, claims: Mapping[str, Any], **header: object) -> str:
        """Signs whatever header and claims it is given: bad ones too."""
        named = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **header}
        return self.sign_text(json.dumps(named), json.dumps(claims))

    def sign_text(self, header: str, payload: str) -> str:
        """Signs what need not be JSON at all."""
        body = f"{_part(header.encode())}.{_part(payload.encode())}"
        key = self.keys[0].private_key
        assert key is not None
        signature = key.sign(body.encode(), PKCS1v15(), SHA256())
        return f"{body}.{_part(signature)}"

    def settings(self, jwks_url: str = "") -> Identity:
        return Identity(issuer=self.issuer, jwks_url=jwks_url, audience=self.audience)


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _rsa(kid: str) -> jwk.RSAKey:
    return jwk.RSAKey.generate_key(2048, {"kid": kid})


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


class JwksServer:
    """Where the keys of an issuer are read, at `url`, inside `async with`; counts the reads.

    At `token_url` a service gets a token by its name alone.
    """

    def __init__(self, issuer: Issuer) -> None:
        self.url = ""
        self.token_url = ""
        self.reads = 0
        self._issuer = issuer
        app = web.Application()
        app.router.add_get("/jwks", self._keys)
        app.router.add_post("/token", self._token)
        self._runner = web.AppRunner(app, access_log=None)

    async def _keys(self, _: web.Request) -> web.Response:
        self.reads += 1
        return web.json_response(self._issuer.jwks())

    async def _token(self, request: web.Request) -> web.Response:
        token = self._issuer.workload_token(str((await request.post())["client_id"]))
        return web.json_response({"access_token": token, "expires_in": 600})

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        here = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.url, self.token_url = f"{here}/jwks", f"{here}/token"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
