import os
import sys
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import pytest

from devstack.endings import ending
from devstack.failure import StackFailure
from devstack.processes import (
    Program,
    Running,
    end_of,
    spawn,
    started_at,
    stop,
    wait_until_ready,
)

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


def test_a_process_that_sleeps_is_woken_to_end_gently(tmp_path: Path) -> None:
    running = _started(tmp_path, READY)

    _put_to_sleep(running)

    assert stop(running)
    assert not running.is_asleep()


def test_a_process_that_was_woken_sleeps_no_more(tmp_path: Path) -> None:
    running = _started(tmp_path, READY)
    _put_to_sleep(running)

    running.wake()
    while running.is_asleep():
        os.sched_yield()

    assert running.process() is not None
    stop(running)


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

    assert "sleeper has ended (exit code 3)" in str(failure.value)
    assert "no database" in str(failure.value)


@pytest.mark.parametrize(
    ("written", "end", "why"),
    [
        ("", "", "it wrote no error: killed from outside (kill -9, out of memory)?"),
        ("", "killed by SIGKILL", "killed by SIGKILL; it wrote nothing"),
        ("all is well\n", "exit code 3", "exit code 3; its last line: all is well"),
        ("2026 [error    ] start_failed  error=no\n  more\n", "", "its last error: 2026 [error    ] start_failed  error=no"),
        ("Traceback:\n  File x\nImportError: no x\n", "exit code 1", "exit code 1; its last error: ImportError: no x"),
        ("2026 [1] PANIC:  No space left on device\n", "", "its last error: 2026 [1] PANIC:  No space left on device"),
        ("2026 [warning  ] connection failed: FATAL:  starting up\n", "", "it wrote no error: killed from outside (kill -9, out of memory)?"),
        ('{"level":"warning","event":"FATAL: starting up"}\n', "", "it wrote no error: killed from outside (kill -9, out of memory)?"),
        ("2026 [info     ] service_stopped\n", "", "it was asked to end"),
        ("2026 [error    ] task_died\n2026 [info  ] service_stopped\n", "", "its last error: 2026 [error    ] task_died"),
    ],
)  # fmt: skip
def test_why_a_process_ended_is_what_is_known_of_it(
    tmp_path: Path, written: str, end: str, why: str
) -> None:
    log = tmp_path / "log"
    log.write_text("2025 [error    ] of_an_earlier_process\n" + written)
    before = log.stat().st_size - len(written)

    assert ending(Running("vehicle", 1, 1, said_before=before, end=end), log) == why


def test_of_a_log_that_was_begun_anew_all_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("[error ] short\n")

    assert ending(Running("vehicle", 1, 1, said_before=4711), log).endswith("[error ] short")


def test_how_a_child_ended_is_told_in_words(tmp_path: Path) -> None:
    running = _started(tmp_path, READY)
    lives = end_of(running)

    os.kill(running.pid, SIGKILL)
    while running.process():
        os.sched_yield()

    assert (lives, end_of(running)) == ("", "killed by SIGKILL")
    stop(running)


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


def _put_to_sleep(running: Running) -> None:
    os.kill(running.pid, SIGSTOP)
    while not running.is_asleep():
        os.sched_yield()


def _started(folder: Path, code: str) -> Running:
    program = _program(folder, code)
    running = spawn(program)
    wait_until_ready(running, program.log, lambda: "" if (folder / "ready").exists() else "no")
    return running
