"""What is said again and again is written once, and then counted: an outage fills no disk."""

import copy
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TextIO

from structlog.typing import EventDict, WrappedLogger

WINDOW_SECONDS = 60.0
MOST = 256  # facts that are remembered; who was not heard of for longest is forgotten first


@dataclass(slots=True)
class Said:
    since: float
    last: logging.LogRecord
    again: int = 0


class Sparing(logging.StreamHandler[TextIO]):
    """Writes a warning or an error at once, and says after each window how often it came again.

    Only what is equal but for its time is the same: logger, level, text and every fact. What comes
    with the id of a call is never merged with another call's.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        window: float = WINDOW_SECONDS,
        most: int = MOST,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self._window, self._most, self._now = window, most, now
        self._said: OrderedDict[bytes, Said] = OrderedDict()  # the one told first is first
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._tell()
        if record.levelno < logging.WARNING:
            super().emit(record)
        elif (said := self._said.get(fact := _fact(record))) is None:
            super().emit(record)
            self._remember(fact, Said(self._now(), record))
        else:
            said.again, said.last = said.again + 1, record
            self._look_again()

    def close(self) -> None:
        """What was counted until now is not lost."""
        with self._held():
            if self._timer is not None:
                self._timer.cancel()
            while self._said:
                self._count(self._oldest())
        super().close()

    def _remember(self, fact: bytes, said: Said) -> None:
        self._said[fact] = said
        if len(self._said) > self._most:
            self._count(self._oldest())

    def _tell(self) -> None:
        """Of all whose window is over. Who was silent in it is forgotten."""
        ended = self._now() - self._window
        while self._said and next(iter(self._said.values())).since <= ended:
            fact = next(iter(self._said))
            said = self._oldest()
            if self._count(said):
                self._said[fact] = Said(self._now(), said.last)

    def _oldest(self) -> Said:
        return self._said.popitem(last=False)[1]

    def _count(self, said: Said) -> bool:
        if said.again:
            record = copy.copy(said.last)
            record.__dict__["repeated"] = said.again
            super().emit(record)
        return said.again > 0

    def _look_again(self) -> None:
        """At the end of the window, also if nobody says anything until then."""
        if self._timer is None:
            self._timer = threading.Timer(self._window, self._rung)
            self._timer.daemon = True
            self._timer.start()

    def _rung(self) -> None:
        with self._held():
            self._timer = None
            self._tell()
            if self._said:
                self._look_again()

    @contextmanager
    def _held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


def add_count(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """How often it came again since it was told last."""
    if again := getattr(event.get("_record"), "repeated", 0):
        event["repeated"] = again
    return event


def _fact(record: logging.LogRecord) -> bytes:
    said = _facts(record.msg) if isinstance(record.msg, Mapping) else _text(record)
    error = repr(record.exc_info[1]) if record.exc_info else ""
    return sha256(repr((record.name, record.levelno, said, error)).encode()).digest()


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # told by whoever formats it, with the place in the code
        return repr((record.msg, record.args))


def _facts(event: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, value) for name, value in event.items() if name != "timestamp")
