"""One run: a fleet at work, faults for a while, everything whole again, and the verdict."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import aiohttp

from devstack.processes import stop
from devstack.stack import Stack
from testkit.chaos.clients import Fleet
from testkit.chaos.disk import Disk, mounted
from testkit.chaos.machines import Machines, armed_stack
from testkit.chaos.nemesis import Nemesis
from testkit.chaos.report import Report
from testkit.proof.gathering import gather, quiet
from testkit.proof.history import History, Outcome, commands_of, lines_of
from testkit.proof.invariants import violations
from testkit.servers import own_place, say_nothing

CLIENTS = 8
KNOWN_SECONDS = 90.0  # after everything is whole again


async def run(seed: int, minutes: float, history: Path) -> Report:
    with _stack() as (stack, disk), _history(history) as written:
        machines = Machines(stack, written)
        async with aiohttp.ClientSession() as session:
            fleet = Fleet(
                session, stack, Random(seed), f"chaos-{seed}", lambda: None, history=written
            )
            await fleet.fleet()
            fleet.stop_waiting()
            await _break(fleet, Nemesis(machines, Random(seed), disk), minutes)
        await quiet(stack.parts.environments)
        lines = list(lines_of(history))
        evidence = await gather(stack.parts.environments, commands_of(lines))
        return Report(
            seed=seed,
            minutes=minutes,
            clients=CLIENTS,
            faults=machines.counted,
            deaths=machines.deaths,
            asked_again=len({line["key"] for line in lines if line["type"] == Outcome.UNKNOWN}),
            endings=fleet.endings,
            evidence=evidence,
            violations=violations(evidence),
        )


async def _break(fleet: Fleet, nemesis: Nemesis, minutes: float) -> None:
    """Clients begin new visits only while there are faults, and bring the last ones to an end."""
    async with asyncio.TaskGroup() as everybody:
        for client in range(1, CLIENTS + 1):
            everybody.create_task(fleet.work(client, lambda: nemesis.over))
        raging = everybody.create_task(nemesis.rage())
        await asyncio.sleep(minutes * 60)
        nemesis.over = True
        await raging
        fleet.patience.ends = time.monotonic() + KNOWN_SECONDS


@contextmanager
def _stack() -> Iterator[tuple[Stack, Disk | None]]:
    """On a disk of its own, where this user may have one."""
    with own_place() as plain, mounted(plain.parts.home) as disk:
        stack = armed_stack(plain)
        try:
            stack.up(say_nothing)
            yield stack, disk
        finally:
            for running in stack.running().values():
                stop(running)


@contextmanager
def _history(path: Path) -> Iterator[History]:
    history = History(path)
    try:
        yield history
    finally:
        history.close()
