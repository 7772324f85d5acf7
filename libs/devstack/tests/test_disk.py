from collections.abc import Callable
from pathlib import Path

import pytest

from devstack import disk
from devstack.disk import said_if_full, short
from devstack.failure import StackFailure


def test_a_full_disk_is_named_with_what_cannot_be_written(tmp_path: Path) -> None:
    def write() -> None:
        Path("/dev/full").write_text("more")

    said = _said(tmp_path, write)

    assert said.message == f"the disk is full: {tmp_path} cannot be written"
    assert "free some space" in said.hint


def test_a_program_that_found_no_space_is_understood(tmp_path: Path) -> None:
    def write() -> None:
        raise StackFailure("initdb: could not write: No space left on device")

    assert _said(tmp_path, write).message.startswith("the disk is full: initdb")


def test_so_is_one_that_said_it_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("PANIC: could not extend file: No space left on device\n")

    def write() -> None:
        raise StackFailure("postgres has ended", log=log)

    assert _said(tmp_path, write).message == "the disk is full: postgres has ended"


def test_another_failure_stays_what_it_is(tmp_path: Path) -> None:
    def fail() -> None:
        raise StackFailure("port 8080 is taken", hint="stop that")

    assert _said(tmp_path, fail).hint == "stop that"
    with pytest.raises(FileNotFoundError), said_if_full(tmp_path):
        (tmp_path / "nothing").read_text()


def test_a_failure_on_a_disk_with_little_left_says_how_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that could not even write its log."""
    monkeypatch.setattr(disk, "LEAST_FREE_MIB", 10**9)

    def fail() -> None:
        raise StackFailure("kafka has ended")

    said = _said(tmp_path, fail)

    assert said.message.startswith("kafka has ended; ")
    assert f"MiB are left for {tmp_path}" in said.message


def test_it_is_said_once_however_many_hear_it(tmp_path: Path) -> None:
    def write() -> None:
        with said_if_full(tmp_path):
            Path("/dev/full").write_text("more")

    assert _said(tmp_path, write).message.count("the disk is full") == 1


def test_one_disk_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enough = short([tmp_path])
    monkeypatch.setattr(disk, "LEAST_FREE_MIB", 10**9)

    assert (enough, len(short([tmp_path / "a", tmp_path / "b"]))) == ({}, 1)


def _said(folder: Path, step: Callable[[], None]) -> StackFailure:
    with pytest.raises(StackFailure) as failure, said_if_full(folder):
        step()
    return failure.value
