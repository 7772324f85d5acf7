"""An HTTP client for an ASGI application in this process, and a handler that says what it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.types import ASGIApp

from transcoding.handlers import Metadata


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)


Call: TypeAlias = Callable[..., Awaitable[Answered]]


@dataclass(slots=True)
class FakeHandler:
    """Answers a method as the test says, else with nothing set; remembers what it was asked.

    A stream is one message long; after it, it `breaks` or `goes_on` where the test says so.
    """

    answers: dict[str, Message | Exception] = field(default_factory=dict)
    breaks: dict[str, Exception] = field(default_factory=dict)
    goes_on: bool = False
    asked: list[tuple[str, Any, Mapping[str, str]]] = field(default_factory=list)

    async def unary(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> tuple[Message, Metadata]:
        self.asked.append((method.name, request, dict(metadata)))
        return self._answer(method), [("bayline-version", "7"), ("bayline-position", "sealed")]

    async def stream(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> AsyncIterator[Message]:
        yield self._answer(method)
        if method.name in self.breaks:
            raise self.breaks[method.name]
        if self.goes_on:
            await asyncio.Event().wait()

    def _answer(self, method: MethodDescriptor) -> Message:
        answer = self.answers.get(method.name) or GetMessageClass(method.output_type)()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def request(
    app: ASGIApp,
    verb: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    leaves: bool = False,
) -> Answered:
    """One request; the client stays until it is answered, or leaves in the middle of the body."""
    arriving: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": leaves}]
    sent: list[Any] = []
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if arriving:
            return arriving.pop(0)
        if not leaves:
            await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    await app(_scope(verb, path, headers), receive, send)
    start, *rest = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answered(start["status"], found, b"".join(each.get("body", b"") for each in rest))


class Reader:
    """A client of a stream that never ends by itself: it has `begun`, until it leaves."""

    def __init__(self, app: ASGIApp, path: str, headers: Mapping[str, str]) -> None:
        self.begun = asyncio.Event()
        self._leaving = asyncio.Event()
        self._arriving = [{"type": "http.request", "body": b"", "more_body": False}]
        call = app(_scope("GET", path, headers), self._receive, self._send)
        self._answering = asyncio.ensure_future(call)

    async def leave(self) -> None:
        self._leaving.set()
        await self._answering

    async def _receive(self) -> dict[str, Any]:
        if self._arriving:
            return self._arriving.pop()
        await self._leaving.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message.get("body"):
            self.begun.set()


def _scope(verb: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    target, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "client": ("203.0.113.7", 41_300),
        "method": verb,
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
