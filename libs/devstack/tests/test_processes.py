import os
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

from devstack.failure import StackFailure
from devstack.processes import Program, Running, spawn, started_at, stop, wait_until_ready

READY = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY


def test_a_process_outlives_the_call_and_is_known_again(tmp_path: Path) -> None:
    running = _started(tmp_path, READY)

    assert running.process() is not None
    assert Running("sleeper", running.pid, running.started).process() is not None
    stop(running)


def test_a_pid_that_now_belongs_to_another_process_is_not_ours() -> None:
    ours = Running("gone", os.getpid(), started_at(os.getpid()) - 1)

    assert ours.process() is None


def test_a_process_of_somebody_else_is_never_stopped() -> None:
    stop(Running("gone", os.getpid(), started_at(os.getpid()) - 1))

    assert started_at(os.getpid()) > 0


def test_a_process_that_obeys_ends_gently(tmp_path: Path) -> None:
    running = _started(tmp_path, READY)

    assert stop(running)
    assert running.process() is None


def test_a_process_that_does_not_obey_is_killed(tmp_path: Path) -> None:
    running = _started(tmp_path, DEAF)

    assert not stop(running, grace=0.2)
    assert running.process() is None


def test_a_killed_process_is_dead_although_nobody_waited_for_it(tmp_path: Path) -> None:
    running = _started(tmp_path, READY)

    os.kill(running.pid, SIGKILL)
    while started_at(running.pid) and running.process():
        os.sched_yield()

    assert running.process() is None
    stop(running)


def test_a_process_that_ends_too_soon_is_named_with_its_last_words(tmp_path: Path) -> None:
    program = _program(tmp_path, "print('no database'); raise SystemExit(3)")

    with pytest.raises(StackFailure) as failure:
        wait_until_ready(spawn(program), program.log, lambda: "not yet")

    assert "sleeper has ended" in str(failure.value)
    assert "no database" in str(failure.value)


def test_a_process_that_stays_silent_is_named_with_its_complaint(tmp_path: Path) -> None:
    program = _program(tmp_path, READY)
    running = spawn(program)

    with pytest.raises(StackFailure, match="sleeper is not ready after 0 s: no answer"):
        wait_until_ready(running, program.log, lambda: "no answer", seconds=0.1)

    stop(running)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    program = Program("kafka", ("/nowhere/java",), tmp_path / "log")

    with pytest.raises(StackFailure, match="kafka cannot be started"):
        spawn(program)


def test_a_process_may_die_with_its_parent(tmp_path: Path) -> None:
    """Asked of the kernel: the parent's death itself would end this test too."""
    program = _program(tmp_path, "import ctypes as c; s = c.c_int(); c.CDLL(None).prctl(2, c.byref(s)); print(s.value)")  # fmt: skip

    running = spawn(program, dies_with_parent=True)
    while running.process():
        os.sched_yield()

    assert program.log.read_text().strip() == str(SIGKILL.value)
    stop(running)


def _program(folder: Path, code: str) -> Program:
    return Program(
        "sleeper", (sys.executable, "-c", code, str(folder / "ready")), folder / "sleeper.log"
    )


def _started(folder: Path, code: str) -> Running:
    program = _program(folder, code)
    running = spawn(program)
    wait_until_ready(running, program.log, lambda: "" if (folder / "ready").exists() else "no")
    return running
