"""What every request passes before anything of it is parsed: its form, its size, who asks, how often.

It stands within CORS, so that a browser may read a refusal, and before the routes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.identity import CALLER, Doorkeeper
from gateway.problems import Problems, described
from gateway.settings import Http
from kernel.errors import DomainError, InvalidArgument
from transcoding.errors import InvalidHeader

API = "/v1/"
PROBES = ("/livez", "/readyz")  # asked by address
DEFAULT_PORTS = {"http": 80, "https": 443}
STAND_ONCE = frozenset(
    {
        b"authorization",
        b"bayline-after",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"if-match",
        b"last-event-id",
        b"origin",
        b"traceparent",
        b"transfer-encoding",
    }
)


class HostUnknown(InvalidArgument):
    """The request was meant for somebody else, or comes by a name that is not ours."""

    status = 421


class HeaderRepeated(InvalidArgument):
    """Two readers of the request could each believe another one of the two."""


class ContentEncodingUnsupported(InvalidArgument):
    """What is compressed is not unpacked here."""

    status = 415


class BodyTooLarge(InvalidArgument):
    """More bytes than the gateway takes; refused before they are read where the length is said."""

    status = 413


class BodyTooSlow(InvalidArgument):
    """The body did not come in time; its connection is wanted for others."""

    status = 408


class BodyIncomplete(InvalidArgument):
    """The body broke off, or is not framed as it says."""


class Door:
    def __init__(
        self, app: ASGIApp, *, keeper: Doorkeeper, problems: Problems, settings: Http
    ) -> None:
        self._app = app
        self._keeper = keeper
        self._problems = problems
        self._settings = settings
        self._hosts = frozenset(_names(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._admit(scope)
        except DomainError as error:
            refusal = self._problems.response(Request(scope), described(error))
            await refusal(scope, receive, send)
            return
        body = Body(receive, self._settings.body_limit_bytes, self._settings.body_seconds)
        await self._app(scope, body.receive, send)

    async def _admit(self, scope: Scope) -> None:
        headers = _each_once(scope["headers"])
        if scope["path"] not in PROBES:
            self._check_host(headers.get(b"host", b""))
        _check_encodings(headers)
        self._check_length(headers)
        if scope["path"].startswith(API):
            scope[CALLER] = await self._keeper.identify(headers.get(b"authorization", b""))

    def _check_host(self, host: bytes) -> None:
        if host.lower() not in self._hosts:
            ours = urlsplit(self._settings.public_base).netloc
            raise HostUnknown(f"this is {ours}: send the request to it by that name", host=ours)

    def _check_length(self, headers: Mapping[bytes, bytes]) -> None:
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._settings.body_limit_bytes:
            raise _too_large(self._settings.body_limit_bytes)


class Body:
    """A request's body as it comes: bounded in size, and in time until it is there."""

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._until: float | None = None
        self._read = 0
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        message = await self._in_time()
        if message["type"] == "http.disconnect":
            raise BodyIncomplete("the body broke off before its end")
        self._read += len(message.get("body", b""))
        if self._read > self._limit:
            raise _too_large(self._limit)
        self._is_whole = not message.get("more_body", False)
        return message

    async def _in_time(self) -> Message:
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(self._until):
                return await self._receive()
        except TimeoutError:
            raise BodyTooSlow(
                f"a body must be there within {self._seconds:g} s",
                limit_seconds=f"{self._seconds:g}",
            ) from None


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"a body may have at most {limit} bytes", limit_bytes=str(limit))


def _each_once(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in STAND_ONCE and name in found:
            raise HeaderRepeated(f"send {name.decode()} once", header=name.decode())
        found[name] = value
    return found


def _check_encodings(headers: Mapping[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise ContentEncodingUnsupported(
            "send the body as it is, without Content-Encoding", header="Content-Encoding"
        )
    transfer = headers.get(b"transfer-encoding")
    if transfer is not None and (transfer.lower() != b"chunked" or b"content-length" in headers):
        raise InvalidHeader(
            "Transfer-Encoding may be chunked, and stands without Content-Length",
            header="Transfer-Encoding",
        )


def _names(settings: Http) -> Sequence[bytes]:
    """Of the public address and further ones; the port of the scheme may be left out."""
    base = urlsplit(settings.public_base)
    usual = f":{DEFAULT_PORTS[base.scheme]}"
    given = [name.lower().removesuffix(usual) for name in (base.netloc, *settings.hosts)]
    with_port = [name + usual for name in given if ":" not in name]
    return [name.encode() for name in (*given, *with_port)]
