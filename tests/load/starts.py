"""How long the whole stack takes to start: on an empty folder, and on what it left there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from devstack.stack import Stack
from testkit.servers import own_place, say_nothing
from tests.load.processes import memory
from tests.load.report import Part, Row

COMMITS_ARE_TIMED = "ALTER SYSTEM SET track_commit_timestamp = on"  # read by the part `live`
HOW = """All processes of the local stack, until the last says that it is ready. A cold start makes the database cluster, its schemas, the topics and the accounts; a warm one finds them. Memory is the proportional set size (shared pages counted once) after a start that nobody has used."""


@contextmanager
def started() -> Iterator[tuple[Stack, Part]]:
    with own_place() as stack:
        cold = _seconds(stack)
        _time_commits(stack)
        stack.down(say_nothing)
        warm = _seconds(stack)
        yield stack, Part("Start and memory", HOW, tuple(_rows(stack, cold, warm)))


def _seconds(stack: Stack) -> float:
    begun = time.monotonic()
    stack.up(say_nothing)
    return time.monotonic() - begun


def _time_commits(stack: Stack) -> None:
    server = stack.parts.environments.postgres
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(COMMITS_ARE_TIMED)


def _rows(stack: Stack, cold: float, warm: float) -> Iterator[Row]:
    yield Row("cold start", cold, "s")
    yield Row("warm start", warm, "s")
    used = memory(stack)
    yield Row("memory, in all", sum(used.values()), "MiB")
    for process, mib in used.items():
        yield Row(f"memory: {process}", mib, "MiB")
