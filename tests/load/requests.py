"""Commands and reads: latency at a constant rate, throughput, CPU; each beside the least that could do it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from devstack.stack import Stack
from eventstore.tail import Row as Event
from tests.load import bare
from tests.load.fleet import STEPS, WORKERS, fleet
from tests.load.generator import Answers, Target, at_once, at_rate
from tests.load.processes import Cpu
from tests.load.report import Goal, Part, Row
from tests.load.settled import settled

COMMANDS_PER_SECOND = 150
READS_PER_SECOND = 300
SECONDS = 15
CROWD = 2_000  # commands in the closed loop
LOG = "bayline.workshop.v1.JobEvent"
STORED = "SELECT * FROM es.linked WHERE log = %s ORDER BY recorded_at DESC LIMIT %s"
INSERT = "bare FastAPI + psycopg INSERT of the same rows"
ECHO = "raw ASGI echo of the same bodies"
HOW = f"""A command is, in one of five, a new job, else the triage of a job that no other command touches; a read gets one job. The open loop sends {COMMANDS_PER_SECOND} commands or {READS_PER_SECOND} reads a second, each when it is due, and latency counts from then; the closed loop has {WORKERS} workers that send when they are answered. Relays and consumers work all the while: what they do about a command is in its CPU.

The bare INSERT is FastAPI and psycopg (a pool of {bare.POOL}) on granian, the server that the gateway runs on: one process, no token, no rule. It inserts the very rows that the commands had stored into a table with the same keys, and commits each to the disk of the same PostgreSQL. The echo is a raw ASGI application on granian that sends back what it gets: the jobs that were read."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was answered, and milliseconds of CPU for each request, by process."""

    answers: Answers
    cpu: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Loads:
    open: Load
    closed: Load


async def measured(stack: Stack, seconds: int = SECONDS) -> Part:
    async with fleet(stack, "requests") as found:
        steps = COMMANDS_PER_SECOND * seconds * STEPS // (STEPS + 1)
        jobs = found.open_jobs(steps + CROWD * STEPS // (STEPS + 1))
        written = _both(stack, found.commands(jobs[:steps]), found.commands(jobs[steps:]))
        reads = found.reads(jobs, READS_PER_SECOND * seconds)
        read = _paced(stack, reads, READS_PER_SECOND)
    inserted = _inserted(stack, written)
    echoed = _echoed(stack, read)
    loads = (written.open, written.closed, read, inserted.open, inserted.closed, echoed)
    return Part(
        "Commands and reads",
        HOW,
        (
            *_latency("command", COMMANDS_PER_SECOND, 15, written.open, inserted.open, INSERT),
            *_latency("read", READS_PER_SECOND, 10, read, echoed, ECHO),
            _throughput(written.closed, inserted.closed),
            *_cpu("command", written.open, inserted.open, INSERT),
            *_cpu("read", read, echoed, ECHO),
        ),
        sum(len(load.answers.refused) for load in loads),
        [str(refused) for load in loads for refused in load.answers.refused[:1]],
    )


def _inserted(stack: Stack, written: Loads) -> Loads:
    with (
        bare.database(stack) as dsn,
        bare.serving("insert", dsn) as (server, base),
    ):
        paced, crowd = len(written.open.answers.all), len(written.closed.answers.all)
        targets = bare.inserts(_stored(stack, paced + crowd), base)
        return _both(stack, targets[:paced], targets[paced:], insert=server.pid)


def _echoed(stack: Stack, read: Load) -> Load:
    with bare.serving("echo") as (server, base):
        targets = bare.echoes((answer.body for answer in read.answers.all), base)
        return _paced(stack, targets, READS_PER_SECOND, echo=server.pid)


def _stored(stack: Stack, number: int) -> list[Event]:
    """What was stored last."""
    with psycopg.connect(stack.parts.environments.postgres.dsn("workshop")) as connection:
        return [Event(*row) for row in connection.execute(STORED, (LOG, number))]


def _both(stack: Stack, paced: Sequence[Target], crowd: Sequence[Target], **others: int) -> Loads:
    closed = _load(stack, lambda: at_once(crowd, WORKERS), **others)
    return Loads(_paced(stack, paced, COMMANDS_PER_SECOND, **others), closed)


def _paced(stack: Stack, targets: Sequence[Target], rate: int, **others: int) -> Load:
    return _load(stack, lambda: at_rate(targets, rate), **others)


def _load(stack: Stack, attack: Callable[[], Answers], **others: int) -> Load:
    """Until the last consumer has done what follows."""
    settled(stack)
    cpu = Cpu(stack, **others)
    answers = attack()
    settled(stack)
    number = len(answers.all)
    used = cpu.milliseconds(number) | {"generator": answers.cpu * 1000 / number}
    return Load(answers, used)


def _latency(
    what: str, rate: int, goal: float, ours: Load, bare: Load, against: str
) -> Iterator[Row]:
    for percent in (50, 99):
        goals = (Goal("<=", goal),) if percent == 99 else ()
        figures = (load.answers.milliseconds(percent) for load in (ours, bare))
        value, baseline = figures
        yield Row(f"{what} p{percent} at {rate}/s", value, "ms", baseline, against, goals)
    late = ours.answers.lateness(99)
    yield Row(f"{what}s: sent late, p99", late, "ms")


def _throughput(ours: Load, bare: Load) -> Row:
    value, baseline = ours.answers.per_second(), bare.answers.per_second()
    goals = (Goal(">=", 0.25, of="ratio"),)
    return Row(f"commands, closed loop of {WORKERS}", value, "1/s", baseline, INSERT, goals)


def _cpu(what: str, ours: Load, bare: Load, against: str) -> Iterator[Row]:
    """In all without the generator, then of each process."""
    value, baseline = map(_in_all, (ours, bare))
    yield Row(f"CPU of a {what}, in all", value, "ms", baseline, against)
    for process, used in ours.cpu.items():
        yield Row(f"CPU of a {what}: {process}", used, "ms")


def _in_all(load: Load) -> float:
    return sum(used for process, used in load.cpu.items() if process != "generator")
