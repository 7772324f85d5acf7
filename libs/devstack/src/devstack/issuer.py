"""The development OIDC issuer, of the local stack only: anybody may be anybody here."""

import asyncio
import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from devstack import login_page
from devstack.grants import Grants, Refused, code_request, is_loopback
from devstack.tokens import EVERY_SITE, ROLES, Person, Signer
from devstack.topology import AUDIENCE
from kernel.clock import Clock, SystemClock
from kernel.ids import Uuid7

PERSON_TTL = timedelta(hours=8)
WORKLOAD_TTL = timedelta(minutes=10)
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ALLOWED_HEADERS = "authorization, content-type, x-requested-with"  # the last: Swagger UI's

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class IssuerAccount(BaseModel):
    """`clients`: the secret of each workload that may ask for a token in its own name."""

    url: str
    signing_key: SecretStr
    clients: dict[str, SecretStr]


class IssuerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True)
    issuer: IssuerAccount


@dataclass(frozen=True, slots=True)
class Issuer:
    signer: Signer
    clients: Mapping[str, SecretStr]
    grants: Grants

    def app(self) -> web.Application:
        app = web.Application(middlewares=[allow_local_pages, say_what_is_refused])
        app.router.add_get("/.well-known/openid-configuration", self.discovery)
        app.router.add_get("/jwks", self.jwks)
        app.router.add_get("/authorize", self.ask)
        app.router.add_post("/authorize", self.log_in)
        app.router.add_post("/token", self.token)
        app.router.add_get("/logout", self.log_out)
        app.router.add_get("/readyz", self.ready)
        return app

    async def discovery(self, request: web.Request) -> web.Response:
        url = self.signer.issuer
        return web.json_response(
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "jwks_uri": f"{url}/jwks",
                "end_session_endpoint": f"{url}/logout",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [
                    "none",
                    "client_secret_basic",
                    "client_secret_post",
                ],
                "id_token_signing_alg_values_supported": ["RS256"],
                "subject_types_supported": ["public"],
                "scopes_supported": ["openid"],
            }
        )

    async def jwks(self, request: web.Request) -> web.Response:
        return web.json_response(self.signer.public_keys())

    async def ready(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    async def ask(self, request: web.Request) -> web.Response:
        code_request(request.query)
        return login_page.page(request.query)

    async def log_in(self, request: web.Request) -> web.Response:
        form = texts(await request.post())
        asked = code_request(form)
        code = self.grants.give(asked, person(form))
        back = urlencode({"code": code, "state": asked.state, "iss": self.signer.issuer})
        separator = "&" if urlsplit(asked.redirect_uri).query else "?"
        raise web.HTTPFound(f"{asked.redirect_uri}{separator}{back}")

    async def token(self, request: web.Request) -> web.Response:
        form = texts(await request.post())
        match form.get("grant_type"):
            case "authorization_code":
                answer = self._tokens_of_person(form)
            case "client_credentials":
                answer = self._token_of_workload(*credentials(request, form))
            case other:
                raise Refused("unsupported_grant_type", f"there is no grant_type {other}")
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def log_out(self, request: web.Request) -> web.Response:
        back = request.query.get("post_logout_redirect_uri", "")
        if is_loopback(back):
            raise web.HTTPFound(back)
        return web.Response(text="You are logged out.")

    def _tokens_of_person(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        grant = self.grants.redeem(form)
        claims, asked = grant.person.claims(), grant.request
        nonce = {"nonce": asked.nonce} if asked.nonce else {}
        id_token = self.signer.sign(
            claims | nonce, audience=asked.client_id, ttl=PERSON_TTL, typ="JWT"
        )
        return self._bearer(claims, PERSON_TTL) | {"id_token": id_token}

    def _token_of_workload(self, name: str, given: str) -> Mapping[str, Any]:
        expected = self.clients.get(name, SecretStr("")).get_secret_value()
        if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
            raise Refused("invalid_client", "there is no such client, or its secret is another")
        claims = {"sub": f"workload:{name}", "workload": name, "roles": [], "sites": []}
        return self._bearer(claims, WORKLOAD_TTL)

    def _bearer(self, claims: Mapping[str, Any], ttl: timedelta) -> dict[str, Any]:
        return {
            "access_token": self.signer.sign(claims, audience=AUDIENCE, ttl=ttl),
            "token_type": "Bearer",
            "expires_in": int(ttl.total_seconds()),
        }


def texts(form: MultiMapping[Any]) -> dict[str, str]:
    """A form as plain text; a name that occurs more than once is joined by commas."""
    return {name: ",".join(map(str, form.getall(name))) for name in form}


def person(form: Mapping[str, str]) -> Person:
    roles = _listed(form.get("role", ""))
    tenant = form.get("tenant", "").strip()
    if not TENANT.fullmatch(tenant):
        raise Refused("access_denied", "a tenant is letters, digits, dots, dashes, underscores")
    if not roles or not set(roles) <= set(ROLES):
        raise Refused("access_denied", f"choose at least one role of {', '.join(ROLES)}")
    return Person(
        tenant=tenant,
        roles=roles,
        sites=_listed(form.get("sites", "")) or [EVERY_SITE],
        subject=form.get("subject", "").strip(),
        technician=form.get("technician", "").strip(),
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def credentials(request: web.Request, form: Mapping[str, str]) -> tuple[str, str]:
    """A client's name and secret, from the header (RFC 6749, 2.3.1) or from the form."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused("invalid_client", "the Authorization header is not Basic") from error
    return unquote(name), unquote(secret)


@web.middleware
async def say_what_is_refused(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        status = 401 if refused.error == "invalid_client" else 400
        body = {"error": refused.error, "error_description": refused.message}
        return web.json_response(body, status=status)


@web.middleware
async def allow_local_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """CORS for pages of this machine; they still need a code and its verifier."""
    preflight = request.method == "OPTIONS"
    answer = web.Response(status=204) if preflight else await handler(request)
    origin = request.headers.get("Origin", "")
    if is_loopback(origin):
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        answer.headers["Vary"] = "Origin"
    return answer


def issuer(account: IssuerAccount, clock: Clock) -> Issuer:
    pem = account.signing_key.get_secret_value()
    signer = Signer(account.url.rstrip("/"), pem, clock, Uuid7())
    return Issuer(signer, account.clients, Grants(clock))


def main() -> None:
    account = IssuerSettings().issuer
    address = urlsplit(account.url)
    loop = asyncio.new_event_loop()
    web.run_app(
        issuer(account, SystemClock()).app(),
        host=address.hostname,
        port=address.port,
        loop=loop,
        print=None,
        access_log=None,
        shutdown_timeout=2,
    )


if __name__ == "__main__":
    main()
