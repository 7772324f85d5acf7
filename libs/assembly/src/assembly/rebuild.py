"""Building a read model anew, beside the service: `python -m assembly.rebuild vehicle vehicle.vehicle-list`.

In the environment of the service. A process of its own, so that requests do not wait for it, and
more than one for the bulk. Whatever is killed: run again, it goes on.
"""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, Self

import uvloop

from assembly.crew import Crew, HelperFailed, end_with_parent
from messaging.consumer import Consumer
from messaging.cursor import Displaced, Diverged
from messaging.generations import NotPossible
from messaging.rebuild import Rebuild
from messaging.replay import CannotApply
from messaging.subject import StoreSilent
from messaging.trouble import PASSING
from runtime import database, logs
from runtime.service import Service, settle
from runtime.settings import StoringSettings, load
from runtime.supervision import Task

LIMITS = "-c lock_timeout=500ms -c statement_timeout=10min -c synchronous_commit=off"
NICE = 10  # requests come first
WORKERS = 2
COLLECT_AFTER = 200_000  # a batch makes many values, and no cycles


class Unserved(Service):
    """A service put together and not started: its consumers are there to be asked."""

    def __init__(self, settings: StoringSettings) -> None:
        super().__init__(settings)
        self.consumers: list[Consumer] = []

    async def __aenter__(self) -> Self:
        return self

    def run(self, task: Task) -> None:
        if isinstance(task, Consumer):
            self.consumers.append(task)

    def consumer(self, name: str) -> Consumer:
        for each in self.consumers:
            if each.name == name:
                return each
        known = ", ".join(sorted(each.name for each in self.consumers))
        raise NotPossible(f"{self.name} has no consumer {name}; it has {known}")


async def rebuild(asked: argparse.Namespace, crew: Crew) -> None:
    async with _opened(asked) as build:
        await replace(build, bulk=crew.help).run()


async def share(asked: argparse.Namespace, part: int) -> None:
    end_with_parent()
    async with _opened(asked) as build:
        await build.share(part, WORKERS)


@asynccontextmanager
async def _opened(asked: argparse.Namespace) -> AsyncIterator[Rebuild]:
    settings = load(import_module(f"{asked.service}.settings").Settings)
    logs.configure(settings.telemetry, settings.service())
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(Unserved(settings))
        await import_module(f"{asked.service}.main").main(settings, service)
        dsn = settings.database.projector_dsn
        pool = await stack.enter_async_context(database.pool(dsn, size=4, limits=LIMITS))
        yield Rebuild(pool, service.consumer(asked.projection).subject, asked.rate)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m assembly.rebuild")
    parser.add_argument("service")
    parser.add_argument("projection")
    parser.add_argument("--rate", type=int, default=0, help="events a second; 0: all that goes")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    os.nice(NICE)
    asked = _asked(arguments)
    import_module(f"{asked.service}.main")
    settle(COLLECT_AFTER)
    crew = Crew.forked(partial(_run, partial(share, asked, part)) for part in range(WORKERS))
    try:
        _run(partial(rebuild, asked, crew))
    finally:
        crew.dismiss()


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        uvloop.run(work())
    except* (
        NotPossible,
        HelperFailed,
        CannotApply,
        Displaced,
        Diverged,
        StoreSilent,
        *PASSING,
    ) as errors:
        sys.exit("\n".join(f"{type(each).__name__}: {each}" for each in errors.exceptions))


if __name__ == "__main__":
    main(sys.argv[1:])
