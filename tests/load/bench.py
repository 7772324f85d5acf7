"""`make bench`: latency and CPU of commands and reads at a constant rate, open loop, on this machine.

A request is sent when it is due, whether or not earlier ones are answered; its latency counts from
when it was due. The generator runs beside the stack, on the same cores, as one more process.
"""

import asyncio
import json
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Annotated, Any

import aiohttp
import psutil
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from devstack.api import Api
from devstack.demo import Demo
from devstack.stack import Stack
from devstack.stories import Visit, Workshop
from testkit.servers import own_stack

RESULT = Path("build/bench/latest.json")
TRIAGE = {"priority": "PRIORITY_SCHEDULED", "reason": "REPAIR_REASON_INSPECTION"}
GOALS = {"command p99": 25.0, "read p99": 12.0}
STEPS_PER_REQUEST = 4

Shot = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class Measured:
    """Milliseconds from due to answered, of what was not refused; refusals are counted."""

    latencies: list[float] = field(default_factory=list)
    refused: int = 0

    def percentile(self, of: int) -> float:
        return quantiles(self.latencies, n=100, method="inclusive")[of - 1]


async def fired(shots: Sequence[Shot], per_second: float) -> Measured:
    """All of them, each at its time."""
    found, begun = Measured(), time.perf_counter()

    async def one(number: int, shot: Shot) -> None:
        due = begun + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        try:
            await shot()
        except Exception:  # noqa: BLE001 -- a refusal is a figure of the report, and fails the run
            found.refused += 1
        else:
            found.latencies.append((time.perf_counter() - due) * 1000)

    await asyncio.gather(*(one(number, shot) for number, shot in enumerate(shots)))
    return found


@dataclass(slots=True)
class Load:
    """20 % requests of new jobs, 80 % steps of open ones: distinct vehicles, jobs and keys."""

    demo: Demo
    workshop: Workshop
    seconds: int
    rate: int

    async def prepared(self) -> list[Visit]:
        """One open job for each step, planned ahead of the measurement."""
        count = self.seconds * self.rate * STEPS_PER_REQUEST // (STEPS_PER_REQUEST + 1)
        visits = [self.workshop.visit(Random(number)) for number in range(count)]
        limit = asyncio.Semaphore(8)

        async def one(visit: Visit) -> None:
            async with limit:
                await self._request(visit)

        await asyncio.gather(*map(one, visits))
        return visits

    def commands(self, visits: Sequence[Visit]) -> list[Shot]:
        """A step is a triage: it reads the stream, decides, and appends."""
        shots: list[Shot] = [self._step(visit) for visit in visits]
        for number in range(len(visits) // STEPS_PER_REQUEST):
            visit = self.workshop.visit(Random(number))
            shots.insert(number * (STEPS_PER_REQUEST + 1), partial(self._request, visit))
        return shots

    def reads(self, visits: Sequence[Visit]) -> list[Shot]:
        reader: Api = self.demo.api("acme", "service_manager")
        names = [visit.job["name"] for visit in visits]
        count = self.seconds * self.rate
        return [partial(reader.get, f"/v1/{names[n % len(names)]}") for n in range(count)]

    async def _request(self, visit: Visit) -> None:
        body = {
            "site": visit.workshop.site,
            "vehicle": visit.vehicle,
            "source": "JOB_SOURCE_STAFF",
            "complaint": visit.trouble.complaint,
        }
        manager = visit.workshop.people["manager"]
        visit.job = await manager.post("/v1/jobs", body, key=self.demo.key())

    def _step(self, visit: Visit) -> Shot:
        return partial(visit.command, "manager", "triage", **TRIAGE)


class Cpu:
    """CPU seconds of each process of the stack, its children included."""

    def __init__(self, stack: Stack) -> None:
        self._roots = {name: psutil.Process(one.pid) for name, one in stack.running().items()}
        self._roots["generator"] = psutil.Process()
        self._before = self._seconds()

    def per_request(self, count: int) -> dict[str, float]:
        """Milliseconds of CPU for each of so many requests, by process."""
        after = self._seconds()
        return {name: round((after[name] - self._before[name]) * 1000 / count, 3) for name in after}

    def _seconds(self) -> dict[str, float]:
        return {name: sum(map(_used, self._tree(name))) for name in self._roots}

    def _tree(self, name: str) -> list[psutil.Process]:
        """The stack's processes are the generator's children, and counted for themselves."""
        root = self._roots[name]
        return [root] if name == "generator" else [root, *root.children(recursive=True)]


def _used(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


async def _measured(stack: Stack, seconds: int, rate: int) -> dict[str, Any]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        demo = Demo(session, stack, Random(1), f"bench-{time.time_ns()}", lambda: None)
        await demo.fleet()
        load = Load(demo, demo.workshops[0], seconds, rate)
        visits = await load.prepared()
        load.workshop.people["manager"].waits = False  # the log decides; no read model is asked
        commands = load.commands(visits)
        cpu = Cpu(stack)
        written = await fired(commands, rate)
        cpu_of_commands = cpu.per_request(len(commands))
        reads = load.reads(visits)
        cpu = Cpu(stack)
        read = await fired(reads, rate)
        return {
            "command": _figures(written, cpu_of_commands),
            "read": _figures(read, cpu.per_request(len(reads))),
        }


def _figures(found: Measured, cpu: dict[str, float]) -> dict[str, Any]:
    return {
        "count": len(found.latencies),
        "refused": found.refused,
        "p50_ms": round(found.percentile(50), 2),
        "p99_ms": round(found.percentile(99), 2),
        "max_ms": round(max(found.latencies), 2),
        "cpu_ms_by_process": cpu,
    }


def _shown(result: dict[str, Any]) -> None:
    console, table = Console(), Table(title="Open loop, generator beside the stack")
    for column in ("", "count", "refused", "p50 ms", "p99 ms", "max ms", "goal p99", "CPU ms each"):
        table.add_column(column, justify="left" if not column else "right")
    for name in ("command", "read"):
        one = result[name]
        cpu = sum(ms for who, ms in one["cpu_ms_by_process"].items() if who != "generator")
        figures = (
            one["count"],
            one["refused"],
            one["p50_ms"],
            one["p99_ms"],
            one["max_ms"],
            GOALS[f"{name} p99"],
            round(cpu, 2),
        )
        table.add_row(name, *map(str, figures))
    console.print(table)
    for name in ("command", "read"):
        console.print(f"CPU of a {name} by process, ms:", result[name]["cpu_ms_by_process"])


def main(
    seconds: Annotated[int, typer.Option(min=2, max=120, help="Of each measurement.")] = 20,
    rate: Annotated[int, typer.Option(min=1, max=1000, help="Requests a second.")] = 100,
) -> None:
    """Starts a stack of its own, measures, writes build/bench/latest.json, and shows a table."""
    with own_stack() as stack:
        result = uvloop.run(_measured(stack, seconds, rate))
    result["machine"] = {"cores": psutil.cpu_count(), "python": platform.python_version()}
    result["rate"] = rate
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    _shown(result)
    if result["command"]["refused"] or result["read"]["refused"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
