"""Which processes the stack has started, kept in a file so that the next command knows them."""

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from signal import Signals

from devstack import private_files
from devstack.failure import StackFailure
from devstack.processes import Running


class Busy(StackFailure):
    """Somebody else is at it."""


@contextmanager
def locked(file: Path, taken: Busy) -> Iterator[None]:
    """As long as this process lives, at most."""
    private_files.make_folder(file.parent)
    file.touch(mode=private_files.FILE)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise taken from error
        yield


@dataclass(frozen=True, slots=True)
class Ledger:
    file: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> dict[str, Running]:
        if not self.file.exists():
            return {}
        entries = json.loads(self.file.read_text())
        return {entry["name"]: _running(entry) for entry in entries}

    def add(self, running: Running) -> None:
        with self._lock:
            self._write(self.read() | {running.name: running})

    def ended(self, running: Running, end: str) -> None:
        """Keeps how it ended, unless another process has taken its place."""
        with self._lock:
            known = self.read()
            if end and known.get(running.name) == running:
                self._write(known | {running.name: replace(running, end=end)})

    def remove(self, name: str) -> None:
        with self._lock:
            self._write({key: value for key, value in self.read().items() if key != name})

    @contextmanager
    def held(self) -> Iterator[None]:
        """One command at a time: two that start the same stack would start everything twice."""
        busy = Busy(
            "another bayline command is starting or stopping this stack",
            hint="wait until it has ended",
        )
        with locked(self.file.with_suffix(".lock"), busy):
            yield

    def _write(self, known: dict[str, Running]) -> None:
        entries = [asdict(running) for running in known.values()]
        private_files.write(self.file, json.dumps(entries, indent=2))


def _running(entry: dict[str, object]) -> Running:
    return Running(
        name=str(entry["name"]),
        pid=int(str(entry["pid"])),
        started=int(str(entry["started"])),
        stop_signal=Signals(int(str(entry["stop_signal"]))),
        said_before=int(str(entry.get("said_before", 0))),
        end=str(entry.get("end", "")),
    )
