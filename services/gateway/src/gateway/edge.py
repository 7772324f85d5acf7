"""What every answer has: a correlation id, and security headers."""

import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel.ids import IdGenerator

CORRELATION = b"bayline-correlation-id"
WELL_FORMED = re.compile(rb"[\w.:-]{1,64}")
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' {login}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class Edge:
    """The outermost application. Refuses nothing."""

    def __init__(self, app: ASGIApp, *, ids: IdGenerator, https: bool, login: str = "") -> None:
        self._app = app
        self._ids = ids
        docs = DOCS_POLICY.format(login=login)
        self._headers = {
            name: _headers(policy, https) for name, policy in (("api", API_POLICY), ("docs", docs))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _correlated(scope, self._ids)
        extra = self._extra(scope)

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        await self._app(scope, receive, secured)

    def _extra(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        path = scope["path"]
        found = self._headers["docs" if path.startswith("/docs") else "api"]
        correlation = (CORRELATION, scope["bayline.correlation_id"].encode())
        private = [(b"cache-control", b"no-store")] if path.startswith("/v1") else []
        return [*found, correlation, *private]


def _correlated(scope: Scope, ids: IdGenerator) -> Scope:
    """The client's own id where it is well-formed, else a new one; services get the same."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    given = headers.get(CORRELATION, b"")
    found = given if WELL_FORMED.fullmatch(given) else str(ids.new()).encode()
    others = [(name, value) for name, value in scope["headers"] if name != CORRELATION]
    return {
        **scope,
        "headers": [*others, (CORRELATION, found)],
        "bayline.correlation_id": found.decode(),
    }


def _headers(policy: str, https: bool) -> list[tuple[bytes, bytes]]:
    found = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-site",
        "permissions-policy": "interest-cohort=()",
    }
    if https:
        found["strict-transport-security"] = "max-age=31536000; includeSubDomains"
    return [(name.encode(), value.encode()) for name, value in found.items()]
