"""Which errors pass by themselves, and which are the event's own; how trouble that lasts is told."""

import time

import psycopg
import structlog
from aiokafka.errors import KafkaError
from psycopg import errors

from kernel.errors import Outdated, Unavailable

PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    KafkaError,
    Unavailable,
    ConnectionError,
    TimeoutError,
    errors.UndefinedTable,  # a missing table or grant is a deployment's fault, never an event's
    errors.InsufficientPrivilege,
)
ITS_OWN = (
    errors.ProgramLimitExceeded,
    Outdated,  # it may take until somebody deploys: the stream waits, parked, and not the consumer
)
MAX_TEXT = 2000
CALM_SECONDS = 5.0

log = structlog.get_logger()


def passing(error: BaseException) -> bool:
    """True: wait and try again, for as long as it takes. False: trying again cannot help."""
    return isinstance(error, PASSING) and not isinstance(error, ITS_OWN)


def told(error: BaseException) -> str:
    """For the person who looks at a parked event; NUL, which PostgreSQL refuses, is taken out."""
    return f"{type(error).__name__}: {error}".replace("\x00", "")[:MAX_TEXT]


class Spell:
    """Trouble that lasts: each kind of it is told once, and when it is over, how often it was met."""

    def __init__(self, trouble: str, **of: str) -> None:
        self._trouble, self._of = trouble, of
        self.complaint = ""  # while it lasts
        self._kinds: set[str] = set()
        self._times, self._last = 0, 0.0

    def met(self, error: object) -> None:
        kind = type(error).__name__
        if kind not in self._kinds:
            log.warning("trouble_met", trouble=self._trouble, error=repr(error), **self._of)
        self._kinds.add(kind)
        self.complaint = f"{self._trouble}: {error!r}"
        self._times, self._last = self._times + 1, time.monotonic()

    def calm(self) -> None:
        """It works now. Over is only what has not come back for some seconds."""
        if self._times and time.monotonic() - self._last > CALM_SECONDS:
            log.warning("trouble_over", trouble=self._trouble, times=self._times, **self._of)
            self._kinds.clear()
            self._times, self.complaint = 0, ""
