"""Who was refused, what, and from where: security events, as docs/security.md describes them."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from starlette.routing import Match
from starlette.types import Scope

from gateway.identity import CALLER
from runtime.identity import Caller

WINDOW_SECONDS = 60.0
MOST_TOLD = 100
"""Lines of a window, and as many about what repeated itself: an attacker cannot fill the disk."""

NOBODY = Caller("", "", frozenset(), frozenset())

log = structlog.get_logger()


class Who(NamedTuple):
    """What is told once in a window, however often it happens."""

    status: int
    reason: str
    client: str
    tenant: str
    subject: str


@dataclass(slots=True)
class Refusals:
    """The first of a kind is told at once, how often it was repeated at the end of its window."""

    _repeats: dict[Who, int] = field(default_factory=dict)
    _untold: int = 0

    def record(self, scope: Scope, status: int, reason: str) -> None:
        caller: Caller = scope.get(CALLER, NOBODY)
        address, _ = scope.get("client") or ("", 0)
        who = Who(status, reason, address, caller.tenant, caller.subject)
        if who in self._repeats:
            self._repeats[who] += 1
        elif len(self._repeats) >= MOST_TOLD:
            self._untold += 1
        else:
            self._repeats[who] = 0
            self._tell(who, scope)

    def _tell(self, who: Who, scope: Scope) -> None:
        log.warning(
            "access_refused",
            **who._asdict(),
            method=scope["method"],
            route=_route(scope),
            correlation_id=scope["bayline.correlation_id"],
        )

    def end_window(self) -> None:
        for who, repeats in self._repeats.items():
            if repeats:
                log.warning("access_refused_again", **who._asdict(), repeats=repeats)
        if self._untold:
            log.warning("access_refused_by_many", repeats=self._untold)
        self._repeats, self._untold = {}, 0

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(WINDOW_SECONDS)
                self.end_window()
        finally:
            self.end_window()


def _route(scope: Scope) -> str:
    """As the contract writes it: what somebody typed into a path may be anything."""
    for route in scope["app"].router.routes:
        if route.matches(scope)[0] is not Match.NONE:
            return str(route.path)
    return ""
