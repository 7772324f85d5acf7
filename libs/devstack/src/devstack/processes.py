"""Processes that outlive the command that started them: spawn, recognise again, stop."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any

import psutil

from devstack.failure import StackFailure

GRACE_SECONDS = 12.0

_children: dict[int, subprocess.Popen[bytes]] = {}  # ours must be reaped by us


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `account` is the user id it runs as, when the caller is root."""

    name: str
    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    stop_signal: Signals = SIGTERM
    account: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A process by pid and start time: a pid alone may since belong to somebody else."""

    name: str
    pid: int
    started: float
    stop_signal: Signals = SIGTERM

    def process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 0.1
            alive = same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


def spawn(program: Program, *, dies_with_parent: bool = False) -> Running:
    """Starts it in a session of its own, so that Ctrl-C at the terminal does not reach it."""
    wrapper = ("setpriv", "--pdeathsig=KILL") if dies_with_parent else ()
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log:
        try:
            child = subprocess.Popen(  # noqa: S603 -- programs of our own table
                (*wrapper, *program.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(program.env),
                cwd=program.cwd,
                start_new_session=True,
                **as_account(program.account),
            )
        except OSError as error:
            raise StackFailure(f"{program.name} cannot be started: {error}") from error
    _children[child.pid] = child
    started = psutil.Process(child.pid).create_time()
    return Running(program.name, child.pid, started, program.stop_signal)


def run(argv: tuple[str, ...], *, account: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, whatever its exit code, and keeps what it said."""
    return subprocess.run(  # noqa: S603 -- programs of our own, no shell
        argv, check=False, capture_output=True, text=True, cwd="/", **as_account(account)
    )


def as_account(account: int | None) -> dict[str, Any]:
    """Arguments of `subprocess` that drop root's rights; none when there is no account to take."""
    return {} if account is None else {"user": account, "group": account, "extra_groups": []}


def stop(running: Running, grace: float = GRACE_SECONDS) -> bool:
    """Asks it to end, then ends it. True when it ended by itself within `grace` seconds."""
    process = running.process()
    if process is None:
        return True
    process.send_signal(running.stop_signal)
    gently = _has_ended(process, grace)
    if not gently:
        process.kill()
        _has_ended(process, grace)
    return gently


def _has_ended(process: psutil.Process, seconds: float) -> bool:
    child = _children.get(process.pid)
    try:
        if child is None:
            process.wait(seconds)
        else:
            child.wait(seconds)
            del _children[process.pid]
    except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
        return False
    return True
