"""`bayline audit verify --every`: verified again and again; how long ago it last held is a metric."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import Event

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from devstack.failure import StackFailure
from devstack.ports import HOST

METRIC = "bayline_audit_verified_age_seconds"
WHAT = "since the audit last verified whole, by the job that verifies it; +Inf until it first has"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SHORTEST, LONGEST = timedelta(seconds=10), timedelta(days=7)


@dataclass(slots=True)
class Rounds:
    """`verify` says whether all holds, and raises where that cannot be found out now."""

    verify: Callable[[], bool]
    every: timedelta
    say: Callable[[str], None]
    now: Callable[[], float] = time.monotonic
    held_at: float | None = None

    def run(self, told_to_end: Event) -> bool:
        """Until it is told to end; False as soon as something does not hold."""
        while not told_to_end.is_set():
            began = self.now()
            if not self._round():
                return False
            told_to_end.wait(max(0.0, began + self.every.total_seconds() - self.now()))
        return True

    def age(self) -> float:
        return math.inf if self.held_at is None else self.now() - self.held_at

    def _round(self) -> bool:
        """The age is of what was there when it began. A database that is away is asked again."""
        began = self.now()
        try:
            held = self.verify()
        except StackFailure as failure:
            self.say(f"could not be verified: {failure.message}; {failure.hint}")
            return True
        if held:
            self.held_at = began
        return held


def served(rounds: Rounds, port: int) -> int:
    """On /metrics, as long as the process lives. Returns the port."""
    registry = CollectorRegistry()
    Gauge(METRIC, WHAT, registry=registry).set_function(rounds.age)
    try:
        server, _ = start_http_server(port, addr=HOST, registry=registry)
    except OSError as error:
        raise StackFailure(
            f"the metric cannot be served on port {port}: {error}", hint="name another: --port"
        ) from error
    return int(server.server_port)


def interval(text: str) -> timedelta:
    """`90s`, `15m`, `1h`, `1d`."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    length = timedelta(seconds=int(found[1]) * SECONDS[found[2]]) if found else timedelta(0)
    if not SHORTEST <= length <= LONGEST:
        raise StackFailure(f"{text} is no interval", hint="from 10s to 7d, such as 15m or 1h")
    return length
