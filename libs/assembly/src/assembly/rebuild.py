"""Building a read model anew, beside the service: `python -m assembly.rebuild vehicle vehicle.vehicle-list`.

In the environment of the service. A process of its own, so that requests do not wait for it, and
more than one for the bulk. Whatever is killed: run again, it goes on.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib import import_module
from typing import Self

import uvloop

from messaging.consumer import Consumer
from messaging.cursor import Displaced, Diverged
from messaging.generations import NotPossible
from messaging.rebuild import Rebuild
from messaging.replay import CannotApply
from messaging.subject import StoreSilent
from messaging.trouble import PASSING
from runtime import database, logs
from runtime.service import Service, Task
from runtime.settings import EventSourcedSettings, load

LIMITS = "-c lock_timeout=500ms -c statement_timeout=10min -c synchronous_commit=off"
NICE = 10  # requests come first
WORKERS = 2


class Unserved(Service):
    """A service put together and not started: its consumers are there to be asked."""

    def __init__(self, settings: EventSourcedSettings) -> None:
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


async def rebuild(asked: argparse.Namespace) -> None:
    settings = load(import_module(f"{asked.service}.settings").Settings)
    logs.configure(settings.telemetry, settings.service())
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(Unserved(settings))
        await import_module(f"{asked.service}.main").main(settings, service)
        dsn = settings.database.projector_dsn
        pool = await stack.enter_async_context(database.pool(dsn, size=4, limits=LIMITS))
        build = Rebuild(pool, service.consumer(asked.projection).subject, asked.rate)
        if asked.part is None:
            await replace(build, bulk=lambda: _shared(asked)).run()
        else:
            _end_with_parent()
            await build.share(asked.part, asked.workers)


async def _shared(asked: argparse.Namespace) -> None:
    """Each worker a process; when one fails, the others end with it."""
    async with asyncio.TaskGroup() as group:
        for part in range(asked.workers):
            group.create_task(_worker(asked, part))


async def _worker(asked: argparse.Namespace, part: int) -> None:
    argv = [asked.service, asked.projection, f"--workers={asked.workers}", f"--rate={asked.rate}"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "assembly.rebuild", *argv, f"--part={part}"),
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        if await process.wait():
            raise NotPossible("a worker failed; what it said stands above")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _end_with_parent() -> None:
    """The parent never writes: what can be read is its end."""
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m assembly.rebuild")
    parser.add_argument("service")
    parser.add_argument("projection")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--rate", type=int, default=0, help="events a second; 0: all that goes")
    parser.add_argument("--part", type=int)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    os.nice(NICE)
    try:
        uvloop.run(rebuild(_asked(arguments)))
    except* (NotPossible, CannotApply, Displaced, Diverged, StoreSilent, *PASSING) as errors:
        sys.exit("\n".join(f"{type(each).__name__}: {each}" for each in errors.exceptions))


if __name__ == "__main__":
    main(sys.argv[1:])
