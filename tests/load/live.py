"""From the commit of an event to its read models and to fifty clients, at a hundred events a second."""

import asyncio
import json
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import accumulate, chain
from typing import cast
from urllib.parse import urlsplit

import psutil
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from psycopg import sql

from devstack.stack import Stack
from messaging.admin import ensure_topics
from messaging.kafka import connection
from testkit.topics import eventually
from tests.load.fleet import STEPS, Fleet, fleet
from tests.load.generator import at_rate, percentile
from tests.load.processes import Cpu
from tests.load.report import Goal, Part, Row
from tests.load.settled import settled

EVENTS_PER_SECOND = 100
SECONDS = 20
STEPS_IN_ALL = EVENTS_PER_SECOND * SECONDS * STEPS // (STEPS + 1)
CLIENTS = 50
READ_MODELS = ("workshop.job-list", "vehicle.service-history")
STREAM = "/v1/jobs:stream"
BARE_TOPIC = "bare"
PADDING = "x" * 600
AGAINST = "bare aiokafka, sent to received"
PATIENCE_SECONDS = 30.0
SILENCE_SECONDS = 1.0
EVENTS = """
SELECT stream, ver, pg_xact_commit_timestamp(xmin) FROM es.event WHERE recorded_at >= %s"""
LIVE = "SELECT schema FROM consumer.generation WHERE name = %s AND state = 'live'"
PROJECTED = "SELECT job, version, pg_xact_commit_timestamp(xmin) FROM {}.job"
HOW = f"""{EVENTS_PER_SECOND} commands a second for {SECONDS} s, as above and of one event each, while {CLIENTS} clients read `{STREAM}` as server-sent events. Commit to projection is what PostgreSQL itself says (`track_commit_timestamp`): from the commit of the event's transaction to the commit of the transaction that put it into the read model's row, of all events that the read model knows. Event to client is from `recordedAt`, which is taken within the append and so before its commit, to the client's reading of the bytes; of all frames of all clients, each of which must see every event once. The clients are one Python process that keeps the bytes and reads them afterwards. The baseline is one record of 600 bytes sent by aiokafka, acknowledged by all, and received by another aiokafka, at the same rate."""

Moments = Mapping[tuple[object, int], datetime]


class Client(asyncio.Protocol):
    """Keeps what arrives and when, to be read when nothing is measured any more."""

    def __init__(self, request: bytes) -> None:
        self.is_watching = asyncio.Event()
        self._request = request
        self._chunks = list[bytes]()
        self._arrivals = list[float]()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._arrivals.append(time.time())
        self._chunks.append(data)
        if not self.is_watching.is_set() and b"event: cursor" in data:
            self.is_watching.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def has_begun(self) -> None:
        try:
            await asyncio.wait_for(self.is_watching.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            raise SystemExit(f"no stream: {b''.join(self._chunks).decode()}") from None

    def is_silent(self) -> bool:
        return time.time() - self._arrivals[-1] > SILENCE_SECONDS

    def events(self) -> Iterator[tuple[datetime, datetime]]:
        """When each was recorded, and when it arrived."""
        ends, position = list(accumulate(map(len, self._chunks))), 0
        for line in b"".join(self._chunks).splitlines(keepends=True):
            position += len(line)
            if line.startswith(b"data: ") and "recordedAt" in (frame := json.loads(line[6:])):
                arrived = self._arrivals[bisect_left(ends, position)]
                recorded = datetime.fromisoformat(frame["recordedAt"])
                yield recorded, datetime.fromtimestamp(arrived, recorded.tzinfo)


@dataclass(frozen=True, slots=True)
class Seen:
    """Milliseconds."""

    projected: Mapping[str, Sequence[float]]
    arrived: Sequence[float]
    bare: Sequence[float]
    cpu: Mapping[str, float]


async def measured(stack: Stack) -> Part:
    async with fleet(stack, "live") as found:
        commands = found.commands(found.open_jobs(STEPS_IN_ALL))
        bare = await _through_kafka(stack)
        settled(stack)
        since = _now(stack)
        async with _watching(found) as clients:
            cpu = Cpu(stack, clients=psutil.Process().pid)
            answers = await asyncio.to_thread(at_rate, commands, EVENTS_PER_SECOND)
            await eventually(lambda: all(client.is_silent() for client in clients))
            await asyncio.to_thread(settled, stack)
            used = cpu.milliseconds(len(commands))
    done = len(commands) - len(answers.refused)
    seen = Seen(_projected(stack, since), _arrived(clients, done), bare, used)
    notes = [str(answer) for answer in answers.refused[:1]]
    return Part("Live", HOW, tuple(_rows(seen)), len(answers.refused), notes)


def _arrived(clients: Sequence[Client], events: int) -> list[float]:
    """Raises unless every client has seen every event, once."""
    found = [[_milliseconds(*each) for each in client.events()] for client in clients]
    if unlike := [len(each) for each in found if len(each) != events]:
        raise SystemExit(f"of {events} events clients have seen {unlike}")
    return list(chain.from_iterable(found))


@asynccontextmanager
async def _watching(fleet: Fleet) -> AsyncIterator[Sequence[Client]]:
    where = urlsplit(fleet.manager.base)
    request = (
        f"GET {STREAM} HTTP/1.1\r\nhost: {where.netloc}\r\naccept: text/event-stream\r\n"
        f"authorization: Bearer {fleet.manager.token}\r\n\r\n"
    ).encode()
    connect = asyncio.get_running_loop().create_connection
    new = partial(Client, request)
    opened = [await connect(new, where.hostname or "", where.port or 0) for _ in range(CLIENTS)]
    clients = [client for _, client in opened]
    await asyncio.gather(*(client.has_begun() for client in clients))
    yield clients
    for client in clients:
        client.close()


def _projected(stack: Stack, since: datetime) -> dict[str, list[float]]:
    with psycopg.connect(stack.parts.environments.postgres.dsn("workshop")) as connection:
        committed = {(s, v): at for s, v, at in connection.execute(EVENTS, (since,))}
    return {name: _delays(stack, name, committed) for name in READ_MODELS}


def _delays(stack: Stack, name: str, committed: Moments) -> list[float]:
    """Of the events whose row no later event has changed."""
    service = name.partition(".")[0]
    with psycopg.connect(stack.parts.environments.postgres.dsn(service)) as connection:
        ((schema,),) = connection.execute(LIVE, (name,)).fetchall()
        rows = connection.execute(sql.SQL(PROJECTED).format(sql.Identifier(schema)))
        found = [
            _milliseconds(committed[job, version], at)
            for job, version, at in rows
            if (job, version) in committed
        ]
    if not found:
        raise SystemExit(f"no event came to {name}")
    return found


async def _through_kafka(stack: Stack) -> list[float]:
    login = stack.parts.environments.kafka
    await ensure_topics(login, [BARE_TOPIC])
    consumer = AIOKafkaConsumer(BARE_TOPIC, **connection(login), auto_offset_reset="earliest")
    producer = AIOKafkaProducer(**connection(login), acks="all", enable_idempotence=True)
    count = EVENTS_PER_SECOND * SECONDS // 4
    async with consumer, producer:
        reading = asyncio.create_task(_received(consumer, count))
        for _ in range(count):
            due = asyncio.create_task(asyncio.sleep(1 / EVENTS_PER_SECOND))
            await producer.send(BARE_TOPIC, json.dumps({"at": time.time(), "": PADDING}).encode())
            await due
        return (await reading)[count // 5 :]  # at first they find each other


async def _received(consumer: AIOKafkaConsumer, count: int) -> list[float]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [await _delay(consumer) for _ in range(count)]


async def _delay(consumer: AIOKafkaConsumer) -> float:
    record = await consumer.getone()
    return (time.time() - float(json.loads(record.value)["at"])) * 1000


def _now(stack: Stack) -> datetime:
    with psycopg.connect(stack.parts.environments.postgres.dsn()) as connection:
        ((now,),) = connection.execute("SELECT clock_timestamp()").fetchall()
    assert isinstance(now, datetime)
    return now


def _rows(seen: Seen) -> Iterator[Row]:
    for name, delays in seen.projected.items():
        yield from _percentiles(f"commit to {name}", delays, seen.bare, 40)
    yield from _percentiles(f"event to client, {CLIENTS} clients", seen.arrived, seen.bare, 60)
    for process, used in seen.cpu.items():
        yield Row(f"CPU of an event with {CLIENTS} clients: {process}", used, "ms")


def _percentiles(
    name: str, found: Sequence[float], bare: Sequence[float], goal: float
) -> Iterator[Row]:
    for percent in (50, 99):
        goals = (Goal("<=", goal),) if percent == 99 else ()
        value, baseline = percentile(found, percent), percentile(bare, percent)
        yield Row(f"{name}, p{percent}", value, "ms", baseline, AGAINST, goals)


def _milliseconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000
