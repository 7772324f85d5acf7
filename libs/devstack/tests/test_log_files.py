from pathlib import Path

import pytest

from devstack.log_files import follow, merged
from devstack.rotation import KEPT, _keep, earlier, rotate


def test_the_ends_of_all_files_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1\n2\n3\n")
    (tmp_path / "b").write_text("x\n")

    shown = list(merged({"a": tmp_path / "a", "b": tmp_path / "b", "c": tmp_path / "c"}, 2))

    assert shown == [("a", "2"), ("a", "3"), ("b", "x")]


def test_what_is_written_later_follows_by_whole_lines(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("before\n")
    lines = follow({"a": file})

    _append(file, "one\ntw")
    first = next(lines)
    _append(file, "o\n")

    assert (first, next(lines)) == (("a", "one"), ("a", "two"))


def test_a_file_that_was_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("a long line from before\n")
    lines = follow({"a": file})

    file.write_text("new\n")

    assert next(lines) == ("a", "new")


def _append(file: Path, text: str) -> None:
    with file.open("a") as stream:
        stream.write(text)


def test_a_log_that_is_too_large_is_kept_aside_and_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("12345\n")

    rotate([log], most=6)
    untouched = log.read_text()
    rotate([log], most=5)

    assert untouched == "12345\n"
    assert (log.read_text(), earlier(log).read_text()) == ("", "12345\n")
    assert earlier(log).stat().st_mode & 0o777 == 0o600


def test_only_so_many_logs_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for number in range(KEPT + 3):
        log.write_text(f"{number}")
        rotate([log], most=0)

    kept = [earlier(log, number).read_text() for number in range(1, KEPT + 1)]
    assert kept == ["6", "5", "4", "3"]
    assert len(list(tmp_path.iterdir())) == KEPT + 1


def test_whoever_writes_goes_on_in_the_file_that_was_emptied(tmp_path: Path) -> None:
    """As a process of the stack does: it was given the file once, to append to."""
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"before\n")
        rotate([log], most=0)
        writer.write(b"after\n")

    assert (log.read_bytes(), earlier(log).read_bytes()) == (b"after\n", b"before\n")


def test_who_follows_a_log_misses_nothing_when_it_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("long before\n")
    lines = follow({"a": log})
    _append(log, "one\n")
    first = next(lines)

    _append(log, "two\n")
    rotate([log], most=0)
    _append(log, "three\n")

    assert [first, next(lines), next(lines)] == [("a", "one"), ("a", "two"), ("a", "three")]


def test_the_end_of_a_log_just_rotated_is_still_shown(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n2\n3\n")
    rotate([log], most=0)
    _append(log, "4\n")

    assert list(merged({"a": log}, 3)) == [("a", "2"), ("a", "3"), ("a", "4")]


def test_on_a_full_disk_a_log_stays_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n")
    earlier(log).symlink_to("/dev/full")

    with log.open("rb") as written, pytest.raises(OSError, match="No space left"):
        _keep(written, earlier(log))

    assert (log.read_text(), earlier(log).exists()) == ("1\n", False)
