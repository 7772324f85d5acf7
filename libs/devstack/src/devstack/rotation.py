"""Logs of a bounded size: what is written by processes that never open their file again."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 16 * 2**20
KEPT = 4  # earlier ones, `<name>.log.1` the latest


def rotate(logs: Iterable[Path], most: int = MOST_BYTES) -> None:
    """Copies a log that is too large, and empties it.

    A process appends to the file that it was given, so the file must stay: its end is its own
    place whatever its size. What is written between the last byte copied and the cut is lost,
    which is a moment of microseconds.
    """
    for log in logs:
        if log.exists() and log.stat().st_size > most:
            _turn(log)


def earlier(log: Path, number: int = 1) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _turn(log: Path) -> None:
    """The oldest goes before a byte is copied: on a full disk there is no other place for it."""
    earlier(log, KEPT).unlink(missing_ok=True)
    for number in range(KEPT - 1, 0, -1):
        if earlier(log, number).exists():
            earlier(log, number).rename(earlier(log, number + 1))
    with log.open("r+b") as written:
        _keep(written, earlier(log))
        written.truncate(0)


def _keep(written: BinaryIO, file: Path) -> None:
    """Half a copy is worth nothing, and takes what little space there is."""
    try:
        file.touch(mode=0o600)
        with file.open("wb") as kept:
            shutil.copyfileobj(written, kept)
    except OSError:
        file.unlink(missing_ok=True)
        raise
