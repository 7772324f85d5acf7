"""When nothing is left to do: every event is published, and every consumer has had it."""

import time

from devstack import consumers
from devstack.stack import Stack

PATIENCE_SECONDS = 180.0
PAUSE_SECONDS = 0.2


def settled(stack: Stack) -> float:
    """Returns then, with the seconds it took."""
    begun = time.monotonic()
    while any(line.lag_events for line in progress(stack)):
        if time.monotonic() > begun + PATIENCE_SECONDS:
            raise SystemExit(f"consumers do not come to the end: {progress(stack)}")
        time.sleep(PAUSE_SECONDS)
    return time.monotonic() - begun


def progress(stack: Stack) -> list[consumers.Progress]:
    with consumers.stores(stack.parts.environments.postgres) as found:
        return consumers.progress(found)
