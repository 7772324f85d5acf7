"""Registers a route for every RPC with google.api.http, and carries each call to its handler."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, NoReturn, TypeAlias

import orjson
from fastapi import FastAPI
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from kernel.errors import DomainError, Violation
from transcoding import headers as http
from transcoding import streams
from transcoding.bodies import BodyForm
from transcoding.contract import Binding, bindings, needs_body, required_numbers
from transcoding.descriptors import Json, Reflected, method_rules
from transcoding.encoding import encoder_of
from transcoding.errors import (
    BodyMissing,
    InvalidBody,
    InvalidParameter,
    MalformedJson,
    NameRepeated,
    UnsupportedMediaType,
)
from transcoding.handlers import Handler, Metadata
from transcoding.parsing import parser_of, shown
from transcoding.query import query_parser

Problem: TypeAlias = Callable[[http.Headers, Exception], Mapping[str, Any]]
Admit: TypeAlias = Callable[[MethodDescriptor, Scope], AbstractContextManager[None]]

JSON_TYPE = re.compile(r"application/([\w.+-]+\+)?json\s*(;.*)?", re.IGNORECASE)


def plain_problem(headers: http.Headers, error: Exception) -> Mapping[str, Any]:
    """The least a failed stream can say; the gateway passes its own rendering of problems."""
    if isinstance(error, DomainError):
        return {"reason": error.reason, "detail": error.message}
    return {"reason": "INTERNAL"}


def anybody(_: MethodDescriptor, __: Scope) -> AbstractContextManager[None]:
    return nullcontext()


def mount(
    app: FastAPI,
    services: Mapping[ServiceDescriptor, Handler],
    *,
    problem: Problem = plain_problem,
    admit: Admit = anybody,
    heartbeat: float = streams.HEARTBEAT_SECONDS,
) -> None:
    """Routes of all services, those without variables first.

    `admit` is entered before anything of a request is parsed, and left when its answer is out.
    `problem` renders an error that comes after the first byte of a stream, knowing the
    request's headers; any other error reaches the app's handlers.
    """
    by_pattern: dict[str, dict[str, Endpoint]] = {}
    found = sorted(bindings(services), key=lambda binding: len(binding.variables))
    for binding in found:
        endpoints = by_pattern.setdefault(binding.pattern, {})
        if binding.verb in endpoints:
            raise ValueError(f"{binding.verb} {binding.path} is bound twice")
        handler = services[binding.method.containing_service]
        endpoints[binding.verb] = Endpoint(binding, handler, problem, admit, heartbeat)
    app.router.routes.extend(PathRoute(each, ends) for each, ends in by_pattern.items())


class PathRoute(BaseRoute):
    """All methods of one path. Its variables end at a colon, where the custom verb begins."""

    def __init__(self, pattern: str, endpoints: Mapping[str, "Endpoint"]) -> None:
        self._match = re.compile(pattern).fullmatch
        self._endpoints = dict(endpoints)
        read = endpoints.get("GET")
        if read is not None and not read.binding.method.server_streaming:
            self._endpoints["HEAD"] = read
        self.path = self.path_format = next(iter(endpoints.values())).binding.path
        self.methods = frozenset(self._endpoints)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        found = self._match(scope["path"].removeprefix(scope.get("root_path", "")))
        if found is None:
            return Match.NONE, {}
        endpoint = self._endpoints.get(scope["method"])
        match = Match.FULL if endpoint else Match.PARTIAL
        return match, {"endpoint": endpoint, "path_params": found.groupdict(), "route": self}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            allowed = {"Allow": ", ".join(sorted(self.methods))}
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers=allowed)
        await endpoint(scope, receive, send)


class Endpoint:
    """One binding as an ASGI app: everything that can be known beforehand is compiled."""

    def __init__(
        self,
        binding: Binding,
        handler: Handler,
        problem: Problem,
        admit: Admit,
        heartbeat: float,
    ) -> None:
        method = binding.method
        self.binding = binding
        self._method = method
        self._handler = handler
        self._problem = problem
        self._admit = admit
        self._heartbeat = heartbeat
        self._new = GetMessageClass(method.input_type)
        self._encode = encoder_of(method.output_type)
        self._fill = parser_of(method.input_type)
        self._query = query_parser(binding.query_fields)
        self._takes_body = binding.verb not in ("GET", "DELETE")
        self._needs_body = needs_body(binding)
        self._numbers = required_numbers(binding)
        self._is_read = binding.verb == "GET"
        self._is_command = method_rules(method).command
        self._has_etag = "etag" in method.input_type.fields_by_name
        self._has_cursor = "cursor" in method.input_type.fields_by_name
        self._answers_etag = "etag" in method.output_type.fields_by_name
        if self._is_command and "request_id" not in method.input_type.fields_by_name:
            raise ValueError(f"{method.full_name} is a command without request_id")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect), self._admit(self._method, scope):
            await self._call(scope, receive, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        metadata = http.forwarded(headers)
        request = self._new()
        if self._takes_body or self.binding.body:
            await self._read_body(request, headers, Request(scope, receive))
        self._read_parameters(request, scope)
        self._read_headers(request, headers)
        if self._method.server_streaming:
            await self._stream(request, metadata, headers, receive, send)
        else:
            response, said = await self._handler.unary(self._method, request, metadata)
            await self._answer(response, said, headers, scope["method"], send)

    async def _read_body(self, request: Message, headers: http.Headers, http_: Request) -> None:
        raw = await http_.body()
        if not raw and self._needs_body:
            raise BodyMissing("this method needs a body: a JSON object")
        if not raw:
            return
        document = _document(raw, headers)
        violations: list[Violation] = []
        body = self.binding.body
        if body == "*":
            self._fill(document, request, "", violations)
            violations += self._unsaid(document)
        elif body:
            self._fill({body: document}, request, "", violations)
        else:
            self._fill_nothing(document, violations)
        if violations:
            raise InvalidBody("the body does not fit the schema", violations=violations)

    def _unsaid(self, document: Json) -> Iterator[Violation]:
        said = document if isinstance(document, dict) else {}
        for field in self._numbers:
            if said.get(field.json_name, said.get(field.name)) is None:
                yield Violation(f"/{field.json_name}", "is required")

    def _fill_nothing(self, document: Json, violations: list[Violation]) -> None:
        if document != {}:
            violations.append(Violation("", "this method takes no body"))

    def _read_parameters(self, request: Reflected, scope: Scope) -> None:
        document, violations = self._query(scope["query_string"])
        for name, value in scope["path_params"].items():
            in_body = getattr(request, name)
            if in_body and str(in_body) != value:
                violations.append(Violation(f"/{name}", "differs from the path"))
            document[name] = value
        self._fill(document, request, "", violations)
        if violations:
            raise InvalidParameter(
                "the path or the query does not fit the contract",
                violations=[_of_text(violation) for violation in violations],
            )

    def _read_headers(self, request: Reflected, headers: http.Headers) -> None:
        if self._is_command:
            request.request_id = http.idempotency_key(headers, request.request_id)
        if self._has_etag:
            request.etag = http.expected_version(headers, request.etag)
        elif not self._is_read:
            http.refuse_precondition(headers)
        if self._has_cursor and (last := http.text(headers, "last-event-id")):
            request.cursor = last

    async def _answer(
        self, response: Reflected, said: Metadata, headers: http.Headers, verb: str, send: Send
    ) -> None:
        etag = dict(said).get("bayline-version", "")
        if not etag and self._answers_etag:
            etag = response.etag
        found = http.answered(said, etag)
        if self._is_read and http.is_unchanged(headers, etag):
            await _send(send, HTTPStatus.NOT_MODIFIED, found, b"")
            return
        body = orjson.dumps(self._encode(response))
        found.append((b"content-type", b"application/json"))
        found.append((b"content-length", b"%d" % len(body)))
        await _send(send, HTTPStatus.OK, found, b"" if verb == "HEAD" else body)

    async def _stream(
        self,
        request: Message,
        metadata: Metadata,
        headers: http.Headers,
        receive: Receive,
        send: Send,
    ) -> None:
        await streams.respond(
            self._handler.stream(self._method, request, metadata),
            self._form(headers),
            receive,
            send,
            problem=partial(self._problem, headers),
            heartbeat=self._heartbeat,
        )

    def _form(self, headers: http.Headers) -> streams.Form:
        if self._method.output_type is HttpBody.DESCRIPTOR:
            return BodyForm()
        accepted = headers.get(b"accept", b"")
        events = method_rules(self._method).events
        if b"text/event-stream" in accepted or (events and b"ndjson" not in accepted):
            return streams.EventsForm(self._method.output_type)
        return streams.NdjsonForm(self._method.output_type)


def _document(raw: bytes, headers: http.Headers) -> Json:
    declared = headers.get(b"content-type", b"").decode("latin-1")
    if not JSON_TYPE.fullmatch(declared):
        raise UnsupportedMediaType(
            f"the body must be sent as application/json, not as {declared or 'nothing'}"
        )
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(f"the body is not JSON: {error}") from error
    if _dropped_names(raw, document):
        _refuse_repeated(raw)
    return document


def _dropped_names(raw: bytes, document: Json) -> bool:
    try:
        return _quotes(raw) != _quotes(orjson.dumps(document))
    except orjson.JSONEncodeError:
        return False  # deeper than any message: refused for that


def _quotes(text: bytes) -> int:
    """Those around names and texts. A name that stands twice was dropped with two of them."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"')


def _refuse_repeated(raw: bytes) -> NoReturn:
    with suppress(RecursionError):
        json.loads(raw, object_pairs_hook=_each_once)
    raise NameRepeated("a name stands more than once in one object")


def _each_once(pairs: list[tuple[str, Json]]) -> None:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise NameRepeated(f"{shown(name)} stands {times} times in one object")


def _of_text(violation: Violation) -> Violation:
    """Every parameter is a string: that it got one is no news."""
    return replace(violation, detail=violation.detail.removesuffix(", got a string"))


async def _send(send: Send, status: int, headers: http.RawHeaders, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
