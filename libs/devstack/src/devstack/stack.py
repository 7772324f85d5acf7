"""The local stack as a whole: up, down, and what runs of it."""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from devstack import private_files
from devstack.components import Component, Parts
from devstack.disk import said_if_full
from devstack.endings import ending
from devstack.environments import Environments
from devstack.failure import StackFailure
from devstack.ledger import Busy, Ledger
from devstack.places import Places
from devstack.ports import holder, is_free
from devstack.postgres import folder_of
from devstack.processes import Running, end_of, spawn, stop, wait_until_ready
from devstack.rotation import rotate
from devstack.secrets import Secrets

MOST_OFFSET = 24_000  # below the ports that the system gives to connections

LETTING_GO_SECONDS = 2.0

Say = Callable[[str, str], None]  # name of a component, what became of it


@dataclass(frozen=True, slots=True)
class State:
    """One component as `bayline status` shows it."""

    name: str
    state: str  # ready | not ready | stopped | ended | down
    address: str
    what: str
    pid: int | None = None
    memory_mib: float | None = None
    uptime_seconds: float | None = None
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    parts: Parts
    ledger: Ledger

    @classmethod
    def at(cls, home: Path, offset: int = 0) -> "Stack":
        environments = Environments(Secrets(home / "secrets.json"), offset, folder_of(home))
        return cls(Parts(home, environments), Ledger(home / "processes.json"))

    @classmethod
    def beside(cls, home: Path) -> "Stack":
        """A second stack, on ports that are free now."""
        while True:
            stack = cls.at(home, secrets.randbelow(MOST_OFFSET))
            if all(is_free(port) for part in stack.parts.all() for port in part.ports):
                return stack

    @classmethod
    def here(cls) -> "Stack":
        return cls.at(cls.home(), Places().bayline_port_offset)

    @staticmethod
    def home() -> Path:
        return Places().bayline_home.resolve()

    def up(self, say: Say, *, fresh: bool = False) -> bool:
        """Starts what does not run, in order. False when everything ran already."""
        with said_if_full(*self.parts.folders()), self.ledger.held():
            if fresh:
                self._start_afresh(say)
            self._check_whole()
            _check_free(self._not_running())
            rotate(self.parts.logs())
            started = [self._up_phase(phase, say) for phase in self.parts.phases()]
        return any(started)

    def down(self, say: Say) -> bool:
        """Stops, in reverse order, what `up` has started. False when nothing ran."""
        with self.ledger.held():
            return self._down(say)

    def start(self, name: str, say: Say) -> None:
        """One component alone, and what must be true of it before others rely on it."""
        [component] = (part for part in self.parts.all() if part.name == name)
        with said_if_full(*self.parts.folders()), self.ledger.held():
            if name not in self.running():
                _check_free([component])
            self._start(component, say)

    def running(self) -> dict[str, Running]:
        """What lives now, whoever asks."""
        return {name: one for name, one in self.ledger.read().items() if one.process()}

    def states(self) -> list[State]:
        known = self.ledger.read()
        return [
            _state(component, known.get(component.name), self.parts.log(component.name))
            for component in self.parts.all()
        ]

    def _not_running(self) -> list[Component]:
        running = self.running()
        return [part for part in self.parts.all() if part.name not in running]

    def _check_whole(self) -> None:
        if self.parts.restoring().exists():
            raise StackFailure(
                "a restore of this stack was cut off: its data are not whole",
                hint="give the same `bayline restore` again, or erase all: `bayline up --fresh`",
            )

    def _start_afresh(self, say: Say) -> None:
        self._down(say)
        self.parts.erase()
        private_files.make_folder(self.parts.home)
        say("stack", "erased: stores, topics, keys and logs")

    def _up_phase(self, phase: Sequence[Component], say: Say) -> bool:
        with ThreadPoolExecutor(len(phase)) as workers:
            started = list(workers.map(lambda part: self._try(part, say), phase))
        return any(started)

    def _try(self, component: Component, say: Say) -> bool:
        """Says it of each that fails; only the first failure is told in full."""
        try:
            with said_if_full(*self.parts.folders()):
                return self._start(component, say)
        except StackFailure as failure:
            say(component.name, f"failed: {failure.message}")
            raise

    def _start(self, component: Component, say: Say) -> bool:
        known = self.ledger.read().get(component.name)
        log = self.parts.log(component.name)
        if known and known.process():
            return self._keep(component, known, say)
        if known:
            say(component.name, f"had ended: {ending(known, log)}; its log is {log}")
        begun = time.monotonic()
        running = self.launch(component)
        self._see_ready(component, running, say)
        say(component.name, f"ready after {time.monotonic() - begun:.1f} s (pid {running.pid})")
        return True

    def _keep(self, component: Component, running: Running, say: Say) -> bool:
        """One that is stopped goes on: it has lost nothing, and a lease that it overslept is taken."""
        woken = running.is_asleep()
        if woken:
            running.wake()
            say(component.name, f"was stopped by a signal (pid {running.pid}): continued")
        self._see_ready(component, running, say)
        say(component.name, f"{'is ready again' if woken else 'runs already'} (pid {running.pid})")
        return woken

    def launch(self, component: Component) -> Running:
        """Starts it, without waiting. What cannot be written down is not left running."""
        running = spawn(component.prepare())
        try:
            self.ledger.add(running)
        except OSError:
            stop(running)
            raise
        return running

    def start_again(self, component: Component, ended: Running | None) -> Running:
        """Without waiting; not if another command has done something about it since it was seen."""
        with self.ledger.held():
            known = self.ledger.read().get(component.name)
            if (known and known.pid) != (ended and ended.pid):
                raise Busy(f"another bayline command is at {component.name}")
            _check_free([component])
            return self.launch(component)

    def _see_ready(self, component: Component, running: Running, say: Say) -> None:
        try:
            wait_until_ready(running, self.parts.log(component.name), component.complaint)
        except StackFailure:
            self.ledger.ended(running, end_of(running))
            raise
        _settle(component, say)

    def _down(self, say: Say) -> bool:
        running = self.running()
        for phase in reversed(self.parts.phases()):
            stoppable = [running[part.name] for part in phase if part.name in running]
            self._stop_together(stoppable, say)
        for name in self.ledger.read():
            self.ledger.remove(name)
        return bool(running)

    def _stop_together(self, stoppable: Sequence[Running], say: Say) -> None:
        if not stoppable:
            return

        def end(running: Running) -> None:
            gently = stop(running)
            say(running.name, "stopped" if gently else "did not stop in time, so it was killed")

        with ThreadPoolExecutor(len(stoppable)) as workers:
            list(workers.map(end, stoppable))


def _settle(component: Component, say: Say) -> None:
    for line in component.settle():
        say(component.name, line)


def _check_free(parts: Iterable[Component]) -> None:
    """All at once and before anything is started. What was just killed lets go after a moment."""
    wanted = [(part.name, port) for part in parts for port in part.ports]
    patience = time.monotonic() + LETTING_GO_SECONDS
    while busy := [(name, port) for name, port in wanted if not is_free(port)]:
        if time.monotonic() < patience:
            time.sleep(0.05)
            continue
        raise StackFailure(
            "\n".join(
                f"{name} needs port {port}, and {holder(port) or 'another process'} listens there"
                for name, port in busy
            ),
            hint="stop that, or move the whole stack: `BAYLINE_PORT_OFFSET=1000 make up`",
        )


def _state(component: Component, running: Running | None, log: Path) -> State:
    shown = State(component.name, "down", component.address, component.what)
    if running is None:
        return shown
    process = running.process()
    if process is None:
        return replace(shown, state="ended", pid=running.pid, complaint=ending(running, log))
    asleep = running.is_asleep()
    complaint = "" if asleep else component.complaint()
    return replace(
        shown,
        state="stopped" if asleep else "not ready" if complaint else "ready",
        pid=running.pid,
        memory_mib=round(_memory(process) / 2**20, 1),
        uptime_seconds=round(time.time() - process.create_time(), 1),
        complaint=complaint,
    )


def _memory(process: psutil.Process) -> int:
    """Of it and its children, shared pages counted once."""
    family = (process, *process.children(recursive=True))
    return sum(_proportional(member) for member in family)


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
