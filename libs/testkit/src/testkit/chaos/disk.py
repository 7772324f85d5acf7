"""A small disk for all that a stack keeps, so that it can be full without filling anybody's."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MEBIBYTES = 3_072
BLOCK = 4_096


@dataclass(frozen=True, slots=True)
class Disk:
    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a block is left, until the end."""
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb") as file:
                _fill(file.fileno(), _free(self.folder))
            yield
        finally:
            ballast.unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk | None]:
    """In memory. None where this user may not mount: nothing is filled then."""
    if os.geteuid() != 0:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m,mode=0755", "bayline-chaos", str(folder))
    try:
        yield Disk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


def _fill(file: int, wanted: int) -> None:
    """Others write too: what does not fit is tried by halves."""
    held = 0
    while wanted >= BLOCK:
        try:
            os.posix_fallocate(file, held, wanted)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            wanted //= 2
        else:
            held += wanted


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 -- a command of ours
