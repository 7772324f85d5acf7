"""Disks that are full: said as what it is, with what to do, and seen before it happens."""

import errno
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devstack.failure import StackFailure

FULL = (errno.ENOSPC, errno.EDQUOT)
LEAST_FREE_MIB = 256
MIB = 2**20
HINT = (
    "free some space there, then `bayline up`: it starts what is missing, and keeps what is there"
)


@contextmanager
def said_if_full(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full(error, home) from error
        raise


def full(error: OSError, home: Path) -> StackFailure:
    where = error.filename or home
    return StackFailure(f"the disk is full: {where} cannot be written", hint=HINT)


def little(short: Mapping[Path, int], failure: StackFailure) -> StackFailure:
    """The same failure, and what it is likely to come from."""
    left = "; ".join(f"{mib} MiB are left for {folder}" for folder, mib in short.items())
    return StackFailure(f"{failure.message}; {left}", hint=HINT, log=failure.log)


def short(folders: Iterable[Path]) -> dict[Path, int]:
    """MiB that are left, of the folders whose disk has less than it should."""
    free = {folder: shutil.disk_usage(_existing(folder)).free // MIB for folder in folders}
    return {folder: left for folder, left in free.items() if left < LEAST_FREE_MIB}


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
