"""A shop of our own: protos compiled at test time, an app, and a client of thirty lines."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc_tools
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from kernel.errors import DomainError, RuleViolated
from transcoding.handlers import Metadata
from transcoding.routes import mount

HERE = Path(__file__).parent
INCLUDES = (
    HERE / "protos",
    HERE.parents[2] / "protos",
    Path(annotations_pb2.__file__).parents[2],
    Path(grpc_tools.__file__).parent / "_proto",
)


@dataclass(frozen=True)
class Shop:
    """The compiled protos."""

    files: bytes

    @property
    def service(self) -> ServiceDescriptor:
        return descriptor_pool.Default().FindServiceByName("shop.v1.ShopService")

    def another(self, name: str) -> ServiceDescriptor:
        return descriptor_pool.Default().FindServiceByName(f"shop.broken.v1.{name}")

    def message(self, name: str) -> type[Message]:
        found = descriptor_pool.Default().FindMessageTypeByName(f"shop.v1.{name}")
        return GetMessageClass(found)

    def new(self, kind: str, /, **fields: Any) -> Any:
        return self.message(kind)(**fields)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    out = tmp_path_factory.mktemp("protos") / "shop.binpb"
    arguments = [
        "protoc",
        *(f"-I{path}" for path in INCLUDES),
        f"--descriptor_set_out={out}",
        "--include_imports",
        "--include_source_info",
        "shop.proto",
        "broken.proto",
    ]
    assert protoc.main(arguments) == 0
    files = out.read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(files).file:
        if file.name in ("shop.proto", "broken.proto"):
            descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
        else:
            _known(file.name)
    return Shop(files)


def _known(name: str) -> None:
    """Imports what the shop depends on, so that the default pool holds it."""
    __import__(name.removesuffix(".proto").replace("/", ".") + "_pb2")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Call:
    method: str
    request: Message
    metadata: dict[str, str]


@dataclass
class FakeHandler:
    """Answers what it was told to; remembers what it was asked."""

    response: Any = None
    said: Metadata = ()
    error: Exception | None = None
    messages: list[Any] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    goes_on: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def unary(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> tuple[Message, Metadata]:
        self.calls.append(Call(method.name, request, dict(metadata)))
        if self.error is not None:
            raise self.error
        return self.response or GetMessageClass(method.output_type)(), self.said

    async def stream(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> AsyncIterator[Message]:
        self.calls.append(Call(method.name, request, dict(metadata)))
        try:
            for message in self.messages:
                yield message
            if self.error is not None:
                raise self.error
            if self.goes_on:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


class Client:
    """Speaks ASGI to the app. `open` leaves the answer running until `leave`."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(
        self, verb: str, path: str, body: Any = None, query: str = "", **headers: str
    ) -> Answer:
        return await self.open(verb, path, body, query, ends=True, **headers).finished()

    def open(
        self,
        verb: str,
        path: str,
        body: Any = None,
        query: str = "",
        *,
        ends: bool = True,
        **headers: str,
    ) -> "Exchange":
        raw = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        if raw:
            headers.setdefault("content_type", "application/json")
        scope = {
            "type": "http",
            "method": verb,
            "path": path,
            "query_string": query.encode(),
            "headers": [
                (name.replace("_", "-").encode(), value.encode("latin-1"))
                for name, value in headers.items()
            ],
        }
        return Exchange(self._app, scope, raw, ends=ends)


class Exchange:
    def __init__(self, app: FastAPI, scope: dict[str, Any], body: bytes, *, ends: bool) -> None:
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": body, "more_body": not ends})
        self.answer = Answer(0, {}, b"")
        self.grew = asyncio.Event()
        self._task = asyncio.ensure_future(app(scope, self._incoming.get, self._send))

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        self.answer.body += message.get("body", b"")
        self.grew.set()

    async def until(self, part: bytes) -> Answer:
        """Waits until the body holds `part`."""
        async with asyncio.timeout(5):
            while part not in self.answer.body:
                self.grew.clear()
                await self.grew.wait()
        return self.answer

    async def leave(self) -> None:
        """The client goes; waits for the app to notice."""
        self._incoming.put_nowait({"type": "http.disconnect"})
        async with asyncio.timeout(5):
            await self._task

    async def finished(self) -> Answer:
        async with asyncio.timeout(5):
            await self._task
        return self.answer


@pytest.fixture
def handler() -> FakeHandler:
    return FakeHandler()


@pytest.fixture
def client(shop: Shop, handler: FakeHandler) -> Client:
    app = FastAPI(openapi_url=None)
    mount(app, {shop.service: handler}, heartbeat=0.05)
    app.add_exception_handler(DomainError, refusal)
    return Client(app)


@pytest.fixture
def mounted(shop: Shop) -> Callable[..., Client]:
    """A client of an app with other services or other hooks."""

    def mount_on(services: dict[ServiceDescriptor, FakeHandler], **hooks: Any) -> Client:
        app = FastAPI(openapi_url=None)
        mount(app, services, **hooks)
        app.add_exception_handler(DomainError, refusal)
        return Client(app)

    return mount_on


class NotAdmitted(RuleViolated):
    pass


@pytest.fixture
def refusing(mounted: Callable[..., Client]) -> Callable[..., Client]:
    """A client of an app that lets nobody in."""

    def admit(*_: object) -> AbstractContextManager[None]:
        raise NotAdmitted("not you")

    return partial(mounted, admit=admit)


async def refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DomainError)
    errors = [{"pointer": each.pointer, "detail": each.detail} for each in error.violations]
    body = {"reason": error.reason, "detail": error.message, "errors": errors, **error.facts}
    return JSONResponse(body, getattr(error, "status", 409))
