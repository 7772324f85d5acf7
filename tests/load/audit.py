"""How many records a second are audited and verified, by the audit's own measurement on servers of its own."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from devstack.processes import run
from devstack.stack import Stack
from eventstore.tail import Row as Event
from kernel.clock import SystemClock
from kernel.ids import Uuid7
from tests.load.replay import bare_inserts
from tests.load.report import Goal, Part, Row

MEASURE = Path("services/audit/tests/load/measure.py").absolute()
THROUGH_KAFKA, TO_VERIFY = 40_000, 200_000
AGAINST = "bare unnest of as many bytes"
HOW = f"""`services/audit/tests/load/measure.py` on a PostgreSQL and a Kafka of its own: {THROUGH_KAFKA:,} records of 300 bytes through Kafka into the Merkle log, as the service does it; then {TO_VERIFY:,} straight into the log, and all of these verified from what is stored: every leaf hashed, every checkpoint's root and signature. The goal of verifying is a million records in 10 s. The baseline is one connection that inserts events of the same size by `INSERT ... SELECT FROM unnest(...)` into a table with one key."""


async def measured(stack: Stack) -> Part:
    bare = bare_inserts(stack, _events())
    done = run((sys.executable, str(MEASURE), str(THROUGH_KAFKA), str(TO_VERIFY)))
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)
    ingested, verified = found["ingest"], found["verify"]
    per_second = verified["records"] / verified["seconds"]
    rows = (
        _row("audited through Kafka", ingested["records/s"], bare, Goal(">=", 15_000)),
        _row("into the log without Kafka", found["sequencer records/s"], bare),
        _row("verified", per_second, bare, Goal(">=", 100_000)),
        Row("CPU of a record audited", ingested["CPU us/record"] / 1000, "ms"),
    )
    return Part("Audit", HOW, rows)


def _row(name: str, value: float, bare: float, *goals: Goal) -> Row:
    return Row(name, value, "records/s", bare, AGAINST, goals)


def _events() -> list[Event]:
    ids, now = Uuid7(), SystemClock().now()
    whose, what = ("acme", ids.new(), 0, ids.new()), ("bench", now, now, bytes(300))
    first = Event("", 0, 0, *whose, *what, b"", b"", b"", ids.new())
    return [replace(first, ver=number) for number in range(THROUGH_KAFKA)]
