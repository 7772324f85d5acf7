"""Which errors pass by themselves, and which are the event's own."""

import psycopg
from aiokafka.errors import KafkaError
from psycopg import errors

from kernel.errors import Unavailable

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
MAX_TEXT = 2000


def passing(error: BaseException) -> bool:
    """True: wait and try again, for as long as it takes. False: trying again cannot help."""
    return isinstance(error, PASSING) and not isinstance(error, errors.ProgramLimitExceeded)


def told(error: BaseException) -> str:
    """For the person who looks at a parked event; NUL, which PostgreSQL refuses, is taken out."""
    return f"{type(error).__name__}: {error}".replace("\x00", "")[:MAX_TEXT]
