"""Processes that outlive the command that started them: spawn, recognise again, stop."""

import pwd
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGTERM, Signals
from tempfile import TemporaryFile
from typing import IO, Any

import psutil

from devstack import private_files
from devstack.failure import StackFailure

GRACE_SECONDS = 12.0
READY_SECONDS = 60.0
ASLEEP = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)

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
    started: int  # clock ticks since boot: unlike wall time, nobody sets them
    stop_signal: Signals = SIGTERM
    said_before: int = 0  # bytes of its log that are of earlier processes
    end: str = ""  # how it ended, once that is known

    def process(self) -> psutil.Process | None:
        """The process while it lives; a zombie does not."""
        if child := _children.get(self.pid):
            child.poll()
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive and started_at(self.pid) == self.started else None

    def is_asleep(self) -> bool:
        """Stopped by a signal (SIGSTOP) or a debugger: it lives, and does nothing."""
        process = self.process()
        try:
            return process is not None and process.status() in ASLEEP
        except psutil.NoSuchProcess:
            return False

    def wake(self) -> None:
        if process := self.process():
            process.send_signal(SIGCONT)


def started_at(pid: int) -> int:
    """0 when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def ended_with(running: Running) -> int | None:
    """The exit code of a child of ours, -9 after SIGKILL; waits until the last of its threads is gone."""
    child = _children.get(running.pid)
    return child.wait(GRACE_SECONDS) if child else None


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def works_in(folder: Path) -> Iterator[int]:
    """The processes whose working directory it is."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder):
                yield process.pid


def spawn(program: Program, *, dies_with_parent: bool = False) -> Running:
    """Starts it in a session of its own, so that Ctrl-C at the terminal does not reach it."""
    wrapper = ("setpriv", "--pdeathsig=KILL") if dies_with_parent else ()
    private_files.make_folder(program.log.parent)
    program.log.touch(mode=private_files.FILE)
    program.log.chmod(private_files.FILE)  # an older release let others read it
    with program.log.open("ab") as log:
        said_before = log.tell()
        try:
            child = subprocess.Popen(  # noqa: S603 -- programs of our own table
                (*wrapper, *program.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(program.env),
                cwd=program.cwd,
                umask=private_files.UMASK,
                start_new_session=True,
                **as_account(program.account),
            )
        except OSError as error:
            raise StackFailure(f"{program.name} cannot be started: {error}") from error
    _children[child.pid] = child
    return Running(program.name, child.pid, started_at(child.pid), program.stop_signal, said_before)


def run(
    argv: tuple[str, ...], *, account: int | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end, whatever its exit code, and keeps what it said."""
    return subprocess.run(  # noqa: S603 -- programs of our own, no shell
        argv,
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=env,
        umask=private_files.UMASK,
        **as_account(account),
    )


@contextmanager
def output_of(argv: tuple[str, ...], *, env: Mapping[str, str]) -> Iterator[IO[bytes]]:
    """What it writes, as it writes it; it does not outlive the block."""
    with _talking(argv, env, stdout=subprocess.PIPE) as child:
        assert child.stdout
        yield child.stdout


def feed(argv: tuple[str, ...], chunks: Iterable[bytes], *, env: Mapping[str, str]) -> None:
    """Runs it with `chunks` as its input."""
    with _talking(argv, env, stdin=subprocess.PIPE) as child, suppress(BrokenPipeError):
        assert child.stdin
        for chunk in chunks:
            child.stdin.write(chunk)
        child.stdin.close()


@contextmanager
def _talking(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    with TemporaryFile() as said:
        child = subprocess.Popen(  # noqa: S603 -- programs of our own, no shell
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=said,
            cwd="/",
            env=dict(env),
            umask=private_files.UMASK,
        )
        try:
            yield child
            code = child.wait()
        finally:
            child.kill()
            child.communicate()
        if code != 0:
            said.seek(0)
            raise StackFailure(f"{Path(argv[0]).name} failed: {said.read().decode().strip()}")


def as_account(account: int | None) -> dict[str, Any]:
    """Arguments of `subprocess` that drop root's rights; none when there is no account to take."""
    if account is None:
        return {}
    return {"user": account, "group": group_of(account), "extra_groups": []}


def group_of(account: int) -> int:
    """Its own, whose number may be another: the same number may be a group with rights."""
    return pwd.getpwuid(account).pw_gid


def wait_until_ready(
    running: Running, log: Path, complaint: Callable[[], str], seconds: float = READY_SECONDS
) -> None:
    """Returns once there is no `complaint` left; a process that ends or stays silent is named."""
    deadline = time.monotonic() + seconds
    while said := complaint():
        if running.process() is None:
            raise StackFailure(f"{running.name} has ended{_how(running)}", log=log)
        if time.monotonic() > deadline:
            raise StackFailure(
                f"{running.name} is not ready after {seconds:.0f} s: {said}", log=log
            )
        time.sleep(0.05)


def end_of(running: Running) -> str:
    """How a child of ours ended, in words; empty while it lives, or when its parent was another."""
    code = exit_code(running)
    if code is None:
        return ""
    return f"exit code {code}" if code >= 0 else f"killed by {Signals(-code).name}"


def _how(running: Running) -> str:
    end = end_of(running)
    return f" ({end})" if end else ""


def exit_code(running: Running, seconds: float = 0.0) -> int | None:
    """Of a process that this one has started; None if it lives so long."""
    child = _children.get(running.pid)
    with suppress(subprocess.TimeoutExpired):
        return child.wait(seconds) if child else None
    return None


def stop(running: Running, grace: float = GRACE_SECONDS) -> bool:
    """Asks it to end, then ends it. True when it ended by itself within `grace` seconds."""
    process = running.process()
    if process is None:
        return True
    process.send_signal(running.stop_signal)
    running.wake()  # asleep, it would never hear of it
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
