"""Failures at named points: raised in a test, or of a whole process.

`BAYLINE_FAILPOINT=relay.after_acks:kill python -m testkit.failpoints workshop` starts a service
that kills itself there; with `:3` behind, when it comes there for the third time.
Actions: `kill` (SIGKILL), `stop` (SIGSTOP), `raise`.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count

from pydantic_settings import BaseSettings, SettingsConfigDict

from messaging import failpoint


class Injected(Exception):
    """A failure that a test asked for."""


class Armed(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="BAYLINE_")
    failpoint: str = ""


def arm(name_and_action: str) -> None:
    """For the rest of the process: `consumer.before_commit:kill`."""
    name, action, *nth = name_and_action.split(":")
    failpoint.install(_at(name, _from(int(nth[0]) if nth else 1, ACTIONS[action])))


@contextmanager
def failing_at(name: str, *, times: int = 1, error: Exception | None = None) -> Iterator[None]:
    """The first `times` that the point is reached, it raises."""
    left = iter(range(times))

    def fail() -> None:
        if next(left, None) is not None:
            raise error or Injected(name)

    with doing_at(name, fail):
        yield


@contextmanager
def doing_at(name: str, act: Callable[[], None]) -> Iterator[None]:
    hook = _at(name, act)
    failpoint.install(hook)
    try:
        yield
    finally:
        failpoint.remove(hook)


def _at(name: str, act: Callable[[], None]) -> failpoint.Hook:
    async def hook(point: str) -> None:
        if point == name:
            act()

    return hook


def _from(nth: int, act: Callable[[], None]) -> Callable[[], None]:
    """Nothing before that time; each time from then on."""
    came = count(1)

    def when_due() -> None:
        if next(came) >= nth:
            act()

    return when_due


def _raise() -> None:
    raise Injected


ACTIONS: Mapping[str, Callable[[], None]] = {
    "kill": partial(os.kill, os.getpid(), signal.SIGKILL),
    "stop": partial(os.kill, os.getpid(), signal.SIGSTOP),
    "raise": _raise,
}

if __name__ == "__main__":
    armed = Armed().failpoint
    if armed:
        arm(armed)
    sys.argv.pop(0)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
