"""Every refusal as RFC 9457 `application/problem+json`, and the page each `type` leads to."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import grpc.aio
import orjson
import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from gateway.edge import CORRELATION
from gateway.refusals import Refusals
from kernel.errors import (
    AlreadyExists,
    Conflict,
    Damaged,
    DomainError,
    Forbidden,
    InvalidArgument,
    NotFound,
    QuotaExhausted,
    RuleViolated,
    Unauthenticated,
    Unavailable,
)
from runtime.errors import Problem, kind_of, problem_of
from transcoding.descriptors import camel
from transcoding.headers import Headers

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"
UNREAD = {"BODY_INCOMPLETE", "BODY_TOO_LARGE", "BODY_TOO_SLOW"}
"""After these a body may still be coming, which nobody reads: the connection ends."""
STALE = "STALE_VERSION"
PATH = "/:@!$&'()*+,;="  # what stands in a path as it is (RFC 3986, 3.3)
LONGEST_SHOWN = 500  # of a path: ours are shorter, and a stranger is not sent back what he sent

STATUS: Mapping[type[DomainError], int] = {
    InvalidArgument: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    AlreadyExists: 409,
    RuleViolated: 409,
    Conflict: 409,
    QuotaExhausted: 429,
    Unavailable: 503,
    Damaged: 500,
}
ROUTING = {404: "ROUTE_NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of a reason."""

    reason: str
    status: int
    title: str
    remedy: str

    @property
    def slug(self) -> str:
        return self.reason.lower().replace("_", "-")


def catalogue() -> Mapping[str, Entry]:
    """The reasons of `problems.toml`; other kinds of reasons get the title of their status."""
    found = tomllib.loads(files("gateway").joinpath("problems.toml").read_text())
    return {reason: Entry(reason, **entry) for reason, entry in found.items()}


class Problems:
    """Renders refusals. `base` is the public start of every problem type."""

    def __init__(self, base: str, entries: Mapping[str, Entry], refusals: Refusals) -> None:
        self._base = base.rstrip("/")
        self._entries = entries
        self._refusals = refusals

    def body(self, problem: Problem, *, correlation_id: str, instance: str = "") -> dict[str, Any]:
        """`status` is what the catalogue says, else what the kind says; a bug says nothing else."""
        entry = self._entry(problem)
        body: dict[str, Any] = {
            "type": f"{self._base}/problems/{entry.slug}",
            "title": entry.title,
            "status": entry.status,
            "detail": problem.message if entry.reason != "INTERNAL" else entry.remedy,
            "reason": entry.reason,
            "instance": instance,
            "correlation_id": correlation_id,
            "errors": [
                {"pointer": each.pointer, "detail": each.detail} for each in problem.violations
            ],
        }
        facts = {camel(name): value for name, value in problem.facts.items()}
        return {**facts, **{name: value for name, value in body.items() if value not in ("", [])}}

    def _entry(self, problem: Problem) -> Entry:
        if problem.kind not in STATUS:
            return self._entries["INTERNAL"]
        found = self._entries.get(problem.reason)
        status = STATUS[problem.kind]
        return found or Entry(problem.reason, status, problem.message.capitalize(), "")

    def response(self, request: Request, problem: Problem) -> Response:
        instance = quote(_shown(request.url.path), PATH)
        body = self.body(problem, correlation_id=correlation_of(request), instance=instance)
        if problem.reason == STALE and "if-match" in request.headers:
            body["status"] = 412
        wait = problem.facts.get("retry_after_seconds", RETRY_AFTER_SECONDS)
        headers = {"retry-after": wait} if body["status"] in (429, 503) else {}
        if body["status"] in (401, 403):
            self._refusals.record(request.scope, body["status"], body["reason"])
        if problem.reason in UNREAD:
            headers["connection"] = "close"
        if body["status"] == 401:
            headers["www-authenticate"] = (
                f'Bearer error="invalid_token", error_description="{body["reason"]}"'
            )
        return Response(orjson.dumps(body), body["status"], headers, MEDIA_TYPE)

    def of_stream(self, headers: Headers, error: Exception) -> Mapping[str, Any]:
        """The last frame of a stream that broke."""
        problem = described(error)
        if problem.kind not in STATUS:
            log.error("stream_failed", exc_info=error)
        return self.body(problem, correlation_id=headers[CORRELATION].decode())


def described(error: Exception) -> Problem:
    if isinstance(error, grpc.aio.AioRpcError):
        return problem_of(error)
    if isinstance(error, DomainError):
        return Problem(kind_of(error), error.reason, error.message, error.facts, error.violations)
    return Problem(DomainError, "INTERNAL", "", {}, ())


def correlation_of(request: Request) -> str:
    return str(request.scope.get("bayline.correlation_id", ""))


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def install(app: FastAPI, problems: Problems) -> None:
    """One handler for refusals, one for what routing refuses, one for bugs."""

    async def refused(request: Request, error: Exception) -> Response:
        problem = described(error)
        if problem.kind not in STATUS:
            log.error("request_failed", path=request.url.path, exc_info=error)
        return problems.response(request, problem)

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = ROUTING.get(error.status_code, "ROUTE_NOT_FOUND")
        kind = NotFound if error.status_code == 404 else InvalidArgument
        asked = _shown(f"{request.method} {request.url.path}")
        message = f"{asked} is not part of this API"
        response = problems.response(request, Problem(kind, reason, message, {}, ()))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(DomainError, refused)
    app.add_exception_handler(grpc.aio.AioRpcError, refused)
    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(Exception, refused)


def page(entry: Entry) -> str:
    """What a person sees who follows a problem's `type`."""
    return PAGE.format(
        **{
            name: escape(str(value))
            for name, value in {
                "reason": entry.reason,
                "status": entry.status,
                "title": entry.title,
                "remedy": entry.remedy,
            }.items()
        }
    )


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} - Bayline</title>
<h1>{title}</h1>
<p>{remedy}</p>
<p>HTTP {status}, reason <code>{reason}</code>.</p>
</html>
"""
