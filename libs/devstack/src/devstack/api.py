"""A client of the public API: a key for each command, patience where the answer says so."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp

from devstack import topology
from devstack.environments import Environments
from devstack.failure import StackFailure
from devstack.ports import HOST
from devstack.stack import Stack
from devstack.tokens import Person, Signer
from kernel.clock import SystemClock
from kernel.ids import Uuid7

ATTEMPTS = 8
UNCERTAIN = (aiohttp.ClientError, TimeoutError)


class Refused(Exception):
    """The API said no. `problem` is the RFC 9457 body."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{problem.get('reason')}: {problem.get('detail', '')}")
        self.problem = problem
        self.reason = str(problem.get("reason", ""))


@dataclass(slots=True)
class Api:
    """One caller. What it has written it reads at once: positions go along with each request.

    A lost answer, or one that says "later", is asked for again with the same key: the API
    does it once, however often it is asked.
    """

    session: aiohttp.ClientSession
    base: str
    token: str
    after: dict[str, str] = field(default_factory=dict)  # collection -> latest position
    waits: bool = True  # for read models to show what was written before

    async def get(self, path: str, **query: str) -> Any:
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any], *, key: str) -> Any:
        return await self._call("POST", path, json=body, headers={"idempotency-key": key})

    async def frames(self, path: str, **query: str) -> AsyncIterator[Mapping[str, Any]]:
        """The messages of a stream, one JSON line each."""
        headers = {"authorization": f"Bearer {self.token}", "accept": "application/x-ndjson"}
        async with self.session.get(
            self.base + path,
            params=query,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            if answer.status != 200:
                raise Refused(await answer.json(content_type=None))
            async for line in answer.content:
                frame = json.loads(line)
                if "problem" in frame:
                    raise Refused(frame["problem"])
                yield frame

    async def body(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """A file, piece by piece. Raises `aiohttp.ClientPayloadError` if it was cut off."""
        headers = {"authorization": f"Bearer {self.token}"}
        patient = aiohttp.ClientTimeout(total=None)
        async with self.session.get(
            self.base + path, params=query, headers=headers, timeout=patient
        ) as answer:
            if answer.status != 200:
                raise Refused(await answer.json(content_type=None))
            async for piece in answer.content.iter_any():
                yield piece

    async def _call(self, verb: str, path: str, **request: Any) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(verb, path, **request)
            except UNCERTAIN:
                if attempt == ATTEMPTS:
                    raise
            except Refused as refusal:
                if refusal.problem.get("status") not in (429, 503) or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(0.1 * 2**attempt)
        raise AssertionError

    async def _once(self, verb: str, path: str, **request: Any) -> Any:
        headers = {"authorization": f"Bearer {self.token}", **request.pop("headers", {})}
        if self.after and self.waits:
            headers["bayline-after"] = ",".join(self.after.values())
        async with self.session.request(
            verb, self.base + path, headers=headers, **request
        ) as answer:
            body = await answer.json(content_type=None)
            if answer.status >= 400:
                raise Refused(body)
            if position := answer.headers.get("bayline-position"):
                self.after[path.split("/")[2].partition(":")[0]] = position
            return body


def access_token(environments: Environments, person: Person, ttl: timedelta) -> str:
    """As the development issuer would sign it."""
    signer = Signer(environments.issuer, environments.secrets.signing_key(), SystemClock(), Uuid7())
    return signer.sign(person.claims(), audience=topology.AUDIENCE, ttl=ttl)


def caller(session: aiohttp.ClientSession, stack: Stack, person: Person) -> Api:
    """A client of the local stack's gateway, signed in as this person."""
    if "gateway" not in stack.running():
        raise StackFailure("the gateway does not run", hint="start the stack first: make up")
    environments = stack.parts.environments
    base = f"http://{HOST}:{topology.GATEWAY.port + environments.offset}"
    return Api(session, base, access_token(environments, person, timedelta(hours=8)))
