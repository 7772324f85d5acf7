"""A tenant with one of everything, and whoever would like to get at it."""

import asyncio
import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, cached_property
from typing import Any, TypeAlias

import aiohttp
import grpc
import psycopg
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from devstack import topology
from devstack.api import Api, Refused, caller
from devstack.environments import Environments
from devstack.ports import HOST
from devstack.stack import Stack
from devstack.tokens import ROLES, Person, Signer
from gateway.main import OWN, PEERS
from kernel.clock import SystemClock
from kernel.ids import Uuid7
from runtime.errors import problem_of
from runtime.grpc import channel
from runtime.policy import Policies, Thing
from testkit.surface import (
    Asked,
    Known,
    answering,
    creators,
    methods,
    over_rest,
    services,
)
from transcoding.contract import Binding, bindings
from transcoding.descriptors import Json
from transcoding.handlers import GrpcHandler

AUDITED_SECONDS = 60
NAME = re.compile(r"([a-zA-Z]+)/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HTTP_CODES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 500: "INTERNAL"}
FRAMES = 3
STREAM_SECONDS = 0.5

Document: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call, by the names of gRPC."""

    code: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Door:
    """One way in: a method asked at a process directly, or a route of the gateway."""

    method: MethodDescriptor
    process: str
    binding: Binding | None = None

    def __str__(self) -> str:
        if self.binding is None:
            return f"{self.process}/{self.method.name}"
        return f"{self.binding.verb} {self.binding.path}"


def doors() -> list[Door]:
    """All there are, as the contracts say."""
    direct = [
        Door(method, process)
        for method in methods()
        for process in answering(method.containing_service)
    ]
    routes = [Door(each.method, "gateway", each) for each in bindings((*PEERS.values(), OWN))]
    return direct + routes


@cache
def policies_of(method: MethodDescriptor) -> Policies:
    package = method.containing_service.file.package.replace(".", "/")
    return Policies.load(f"{package}/policies.cedar")


@dataclass
class Fortress:
    """The tenant under attack, its things, and who made them."""

    stack: Stack
    tenant: str
    maker: str = "maker"
    known: Known = field(default_factory=Known)
    guarded: set[str] = field(default_factory=set)

    @property
    def environments(self) -> Environments:
        return self.stack.parts.environments

    @property
    def thing(self) -> Thing:
        """What policies see of any of its things."""
        return Thing(self._id("sites"), self._id("technicians"), self.maker)

    def person(self, *roles: str, **other: Any) -> Person:
        person = Person(
            self.tenant,
            roles,
            subject=f"{roles[0]}-{self.tenant}",
            technician=self._id("technicians"),
        )
        return replace(person, **other)

    @cached_property
    def signer(self) -> Signer:
        key = self.environments.secrets.signing_key()
        return Signer(self.environments.issuer, key, SystemClock(), Uuid7())

    def token(self, person: Person) -> str:
        return self._signed(person.claims())

    def workload_token(self, name: str) -> str:
        return self._signed({"sub": f"workload:{name}", "workload": name, "roles": [], "sites": []})

    def _signed(self, claims: Document) -> str:
        return self.signer.sign(claims, audience=topology.AUDIENCE, ttl=timedelta(hours=1))

    def guarded_in(self, text: str) -> list[str]:
        return [each for each in self.guarded if each in text]

    def written_by(self, subject: str, *, tenant: str = "") -> int:
        """Events of this tenant, or another, that somebody caused, in all stores."""
        counted = "SELECT count(*) FROM es.event WHERE tenant = %s AND position(%s IN meta) > 0"
        found = 0
        for service in topology.EVENT_SOURCED:
            with psycopg.connect(self.environments.postgres.dsn(service.name)) as connection:
                row = connection.execute(
                    counted, (tenant or self.tenant, subject.encode())
                ).fetchone()
                found += row[0] if row else 0
        return found

    def _id(self, collection: str) -> str:
        return self.known.names[collection].partition("/")[2]

    async def build(self, session: aiohttp.ClientSession) -> None:
        """One of everything that a contract can make, as soon as what it needs is there."""
        api = caller(session, self.stack, Person(self.tenant, ROLES, subject=self.maker))
        left = [each for each in bindings(services()) if each.method in creators(methods())]
        left.sort(key=lambda each: "/sites" not in each.path)  # other things are at one
        while left:
            ready = [each for each in left if self._is_ready(each.method)]
            assert ready, f"nothing gives what these need: {[each.path for each in left]}"
            for each in ready:
                asked = over_rest(each, self.known.document(each.method, complete=True))
                made = await api.post(
                    asked.target, asked.body, key=asked.headers["idempotency-key"]
                )
                self._learn(made)
                left.remove(each)
        self._learn(await _audited(api))

    def _is_ready(self, method: MethodDescriptor) -> bool:
        try:
            self.known.document(method, complete=True)
        except LookupError:
            return False
        return True

    def _learn(self, made: Json) -> None:
        for found in NAME.finditer(json.dumps(made)):
            self.known.names.setdefault(found[1], found[0])
            if (
                found[1] != "technicians"
            ):  # a caller may say that he or she is one: that is no secret
                self.guarded.add(found[0].partition("/")[2])


async def _audited(api: Api) -> Json:
    """The name of a record that the audit has: each event is there a moment later."""
    async with asyncio.timeout(AUDITED_SECONDS):
        while True:
            if found := await _records(api):
                return {"name": found[0]["record"]["name"]}
            await asyncio.sleep(0.2)


async def _records(api: Api) -> list[Any]:
    try:
        answer = await api.get("/v1/auditRecords", pageSize="1")
    except Refused as refused:
        if refused.reason != "CHECKPOINT_NOT_SIGNED":
            raise
        return []
    return list(answer["records"])


@dataclass
class Attack:
    """Asks at a door, as anybody, with any metadata."""

    fortress: Fortress
    session: aiohttp.ClientSession

    async def ask(
        self, door: Door, token: str, asked: Document | None = None, /, **forged: str
    ) -> Outcome:
        asked = asked or self.fortress.known.document(door.method)
        sent = {name.replace("_", "-"): value for name, value in forged.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        if door.binding is None:
            return await self._directly(door, sent, asked)
        return await self._over_rest(door, sent, over_rest(door.binding, asked))

    async def _directly(self, door: Door, sent: Mapping[str, str], asked: Document) -> Outcome:
        port = topology.service(door.process).port + self.fortress.environments.offset
        request = ParseDict(dict(asked), GetMessageClass(door.method.input_type)())
        opened = channel(f"{HOST}:{port}")
        try:
            answers = await self._answers(GrpcHandler(opened), door.method, request, sent)
        except grpc.aio.AioRpcError as error:
            return Outcome(error.code().name, problem_of(error).reason, repr(error))
        finally:
            await opened.close()
        return Outcome("OK", "", json.dumps([MessageToDict(each) for each in answers]))

    async def _answers(
        self, peer: GrpcHandler, method: MethodDescriptor, request: Message, sent: Mapping[str, str]
    ) -> Sequence[Message]:
        metadata = tuple(sent.items())
        if not method.server_streaming:
            return [(await peer.unary(method, request, metadata))[0]]
        return [each async for each in _few(peer.stream(method, request, metadata))]

    async def _over_rest(self, door: Door, sent: Mapping[str, str], asked: Asked) -> Outcome:
        port = topology.GATEWAY.port + self.fortress.environments.offset
        headers = {"accept": "application/x-ndjson, application/json", **sent, **asked.headers}
        url = f"http://{HOST}:{port}{asked.target}"
        async with self.session.request(
            asked.verb, url, json=asked.body, headers=headers
        ) as answer:
            if door.method.server_streaming and answer.ok:
                lines = [line.decode() async for line in _few(answer.content)]
                return Outcome("OK", "", "".join(lines))
            body = await answer.text()
        if answer.ok:
            return Outcome("OK", "", body)
        reason = json.loads(body)["reason"]
        return Outcome(HTTP_CODES.get(answer.status, str(answer.status)), reason, body)


async def _few(frames: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """The first of a stream, which may have no end."""
    coming = aiter(frames)
    for _ in range(FRAMES):
        try:
            frame = await asyncio.wait_for(anext(coming), STREAM_SECONDS)
        except (StopAsyncIteration, TimeoutError):
            return
        yield frame
