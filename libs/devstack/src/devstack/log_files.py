"""Reading the log files of the stack: their ends, and as they grow."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from devstack.failure import last_lines
from devstack.rotation import earlier

POLL_SECONDS = 0.2


def merged(files: Mapping[str, Path], lines: int) -> Iterator[tuple[str, str]]:
    """(name, line) of the last lines of each, one file after the other."""
    for name, file in files.items():
        for line in _last_lines(file, lines):
            yield name, line


def _last_lines(file: Path, count: int) -> list[str]:
    """Of one that was just begun anew, also the end of what went before."""
    found = last_lines(file, count)
    return [*last_lines(earlier(file), count - len(found)), *found]


def follow(files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """(name, line) of what is written from now on, for ever; files may yet appear or shrink."""
    ends = {name: file.stat().st_size if file.exists() else 0 for name, file in files.items()}
    return _growing(files, ends)


def _growing(files: Mapping[str, Path], offsets: dict[str, int]) -> Iterator[tuple[str, str]]:
    while True:
        for name, file in files.items():
            text, offsets[name] = _new(file, offsets[name])
            for line in text.splitlines():
                yield name, line
        time.sleep(POLL_SECONDS)


def _new(file: Path, offset: int) -> tuple[str, int]:
    """What stands after `offset`, up to the last whole line; first the rest of one that was rotated."""
    if not file.exists():
        return "", 0
    if file.stat().st_size < offset:
        rest, (begun, end) = _after(earlier(file), offset), _new(file, 0)
        return rest.decode(errors="replace") + begun, end
    data = _after(file, offset)
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace"), offset + len(whole)


def _after(file: Path, offset: int) -> bytes:
    if not file.exists():
        return b""
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read()
