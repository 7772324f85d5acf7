"""The processes of a stack, to be started armed, stopped, continued and killed."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL, Signals
from sys import executable

from devstack import topology
from devstack.components import Component, Parts
from devstack.ledger import Ledger
from devstack.ports import free_port
from devstack.processes import Program, Running, ended_with, spawn
from devstack.stack import Stack
from devstack.topology import Service
from testkit.proof.history import History

POLL_SECONDS = 0.02
READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class ArmedParts(Parts):
    """Services start with the failpoint that `armed` has for them."""

    armed: dict[str, str] = field(default_factory=dict)

    def program(self, service: Service) -> Program:
        plain = Parts.program(self, service)
        return replace(
            plain,
            argv=(executable, "-m", "testkit.failpoints", service.name),
            env={**plain.env, "BAYLINE_FAILPOINT": self.armed.get(service.name, "")},
        )


def armed_stack(plain: Stack) -> Stack:
    """Its ledger is not on its disk, which may be full when a process is started."""
    home = plain.parts.home
    return Stack(ArmedParts(home, plain.parts.environments), Ledger(home.parent / "processes.json"))


@dataclass(slots=True)
class Machines:
    stack: Stack
    history: History
    counted: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)  # nobody had asked for these
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def armed(self) -> dict[str, str]:
        assert isinstance(self.stack.parts, ArmedParts)
        return self.stack.parts.armed

    def lock(self, name: str) -> asyncio.Lock:
        """One fault at a time for each process."""
        return self.locks.setdefault(name, asyncio.Lock())

    def part(self, name: str) -> Component:
        return next(part for part in self.stack.parts.all() if part.name == name)

    def running(self, name: str) -> Running:
        return self.stack.ledger.read()[name]

    def start(self, name: str, failpoint: str = "") -> Running:
        self.armed[name] = failpoint
        running = spawn(self.part(name).prepare())
        self.stack.ledger.add(running)
        return running

    def start_twin(self, service: Service) -> Running:
        """A second process of the service, on other ports, in the same consumer groups."""
        plain = self.stack.parts.program(service)
        ports = {
            f"{service.prefix}GRPC__PORT": str(free_port()),
            f"{service.prefix}ADMIN__PORT": str(free_port()),
            "BAYLINE_FAILPOINT": "",
        }
        name = f"{service.name}-twin"
        twin = spawn(replace(plain, name=name, env={**plain.env, **ports}))
        self.stack.ledger.add(twin)
        return twin

    def signal(self, running: Running, number: Signals, what: str) -> None:
        """`what` is counted, and stands in the history; not if it died in the meantime."""
        with suppress(ProcessLookupError):
            os.kill(running.pid, number)
            self.note(what, running.name)

    def note(self, what: str, target: str) -> None:
        self.counted[what] += 1
        self.history.note("fault", what=what, target=target)

    async def kill(self, running: Running, what: str) -> None:
        self.signal(running, SIGKILL, what)
        await self.ended(running, READY_SECONDS)

    async def ended(self, running: Running, seconds: float) -> bool:
        return await _until(lambda: running.process() is None, seconds)

    async def ready(self, name: str) -> None:
        component = self.part(name)
        deadline = time.monotonic() + READY_SECONDS
        while complaint := await asyncio.to_thread(component.complaint):
            assert time.monotonic() < deadline, f"{name} is not ready: {complaint}"
            await asyncio.sleep(POLL_SECONDS)

    def note_death(self, running: Running) -> None:
        """Somebody ended by itself: by its failpoint, or for a reason that must be looked at."""
        code, point = ended_with(running), self.armed.get(running.name, "")
        if point and code == -SIGKILL:
            self.note(f"kill -9 at {point.partition(':')[0]}", running.name)
        else:
            self.deaths.append(f"{running.name} ended with {code}; see {self.log(running)}")
            self.history.note("death", target=running.name, code=code)

    def log(self, running: Running) -> Path:
        return self.stack.parts.log(running.name)


async def _until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        await asyncio.sleep(POLL_SECONDS)
    return holds()


SERVICES: Mapping[str, Service] = {service.name: service for service in topology.SERVICES}
