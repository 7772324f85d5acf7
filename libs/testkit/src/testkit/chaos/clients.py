"""Clients that write down what they ask and what they are told, and ask again until they know."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from typing import Any

from devstack.api import UNCERTAIN, Api, Refused, caller
from devstack.demo import Demo
from devstack.stories import STORIES, Visit
from devstack.tokens import Person
from testkit.proof.history import History, Outcome

ANSWER_SECONDS = 6.0
PAUSE_SECONDS = 0.2
UNDECIDED = {429, 500, 502, 503, 504}  # whatever else is said may be believed

IN_A_HURRY = "manager", "inspector"

_client: ContextVar[int] = ContextVar("client", default=0)  # 0 makes the fleet


class StillUnknown(Exception):
    """Nobody said what became of a command, for as long as the run lasted."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """Until when a client asks again; set once everything is healed."""

    ends: float = float("inf")

    def is_over(self) -> bool:
        return time.monotonic() > self.ends


@dataclass(slots=True, kw_only=True)
class Recorded(Api):
    tenant: str
    history: History
    patience: Patience

    async def post(self, path: str, body: Mapping[str, Any], *, key: str) -> Any:
        asked = {"client": _client.get(), "tenant": self.tenant, "key": key, "what": path}
        while not self.patience.is_over():
            self.history.note("invoke", **asked)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    headers = {"idempotency-key": key}
                    answer = await self._once("POST", path, json=body, headers=headers)
            except UNCERTAIN as error:
                self.history.note(Outcome.UNKNOWN, **asked, reason=repr(error))
            except Refused as refusal:
                self._refused(refusal, asked)
            else:
                _, stream = answer["name"].split("/")
                known = {"stream": stream, "version": int(answer["etag"])}
                self.history.note(Outcome.ACCEPTED, **asked, **known)
                return answer
            await asyncio.sleep(PAUSE_SECONDS)
        raise StillUnknown(key)

    def _refused(self, refusal: Refused, asked: Mapping[str, Any]) -> None:
        status = refusal.problem.get("status")
        told = {**asked, "status": status, "reason": refusal.reason}
        if status in UNDECIDED:
            self.history.note(Outcome.UNKNOWN, **told)
        else:
            self.history.note(Outcome.REFUSED, **told)
            raise refusal


@dataclass(slots=True, kw_only=True)
class Fleet(Demo):
    """The demo's fleet, whose people are on record."""

    history: History
    patience: Patience = field(default_factory=Patience)
    endings: Counter[str] = field(default_factory=Counter)

    def api(self, tenant: str, *roles: str, **person: Any) -> Recorded:
        plain = caller(self.session, self.stack, Person(tenant, roles, **person))
        return Recorded(
            plain.session,
            plain.base,
            plain.token,
            tenant=tenant,
            history=self.history,
            patience=self.patience,
        )

    def stop_waiting(self) -> None:
        """Managers give most commands, and go on although read models are behind; others wait."""
        for workshop in self.workshops:
            for name in IN_A_HURRY:
                workshop.people[name].waits = False

    async def work(self, client: int, is_over: Callable[[], bool]) -> None:
        """One client: visit after visit, each told as far as its story goes."""
        _client.set(client)
        random = Random(f"{self.run}/{client}")
        while not is_over():
            visit = random.choice(self.workshops).visit(Random(random.random()))
            story = random.choice(STORIES)
            try:
                await story(visit)
            except (Refused, TimeoutError, StillUnknown) as ending:
                self.endings[getattr(ending, "reason", type(ending).__name__)] += 1
                await _make_room(visit)
            else:
                self.endings["told"] += 1


async def _make_room(visit: Visit) -> None:
    """A visit that ended early must not keep its technician and its bay for ever."""
    if visit.technician:
        for verb, body in (("stopLabour", {"technician": visit.technician}), ("leaveBay", {})):
            with suppress(Refused, StillUnknown):
                await visit.command("manager", verb, **body)
