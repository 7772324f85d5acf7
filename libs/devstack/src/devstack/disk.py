"""Disks that are full: said as what it is, with what to do, and seen before it happens."""

import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.failure import StackFailure

FULL = (errno.ENOSPC, errno.EDQUOT)
WORDS = "No space left on device"
LEAST_FREE_MIB = 256
MIB = 2**20
HINT = (
    "free some space there, then `bayline up`: it starts what is missing, and keeps what is there"
)


class DiskFull(StackFailure):
    """Or nearly so: what somebody tried did not fit."""


@contextmanager
def said_if_full(*folders: Path) -> Iterator[None]:
    """By the system to us, or by a program of which nothing is known but its words."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full(error, folders[0]) from error
        raise
    except DiskFull:
        raise
    except StackFailure as failure:
        if WORDS in str(failure):
            raise DiskFull(f"the disk is full: {failure.message}", hint=HINT) from failure
        if left := short(folders):
            told = "; ".join((failure.message, *left.values()))
            raise DiskFull(told, hint=failure.hint or HINT, log=failure.log) from failure
        raise


def full(error: OSError, home: Path) -> DiskFull:
    where = error.filename or home
    return DiskFull(f"the disk is full: {where} cannot be written", hint=HINT)


def short(folders: Iterable[Path]) -> dict[int, str]:
    """Of each disk that has less than it should: what is left, in words."""
    told = dict[int, str]()
    for folder in folders:
        place = _existing(folder)
        left = shutil.disk_usage(place).free // MIB
        if left < LEAST_FREE_MIB:
            told.setdefault(place.stat().st_dev, f"{left} MiB are left for {folder}")
    return told


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
