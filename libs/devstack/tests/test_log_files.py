from pathlib import Path

from devstack.log_files import follow, merged


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
