"""Who breaks things: every service is killed again and again, and beneath them the servers fail."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from signal import SIGCONT, SIGQUIT, SIGSTOP, SIGTERM
from typing import LiteralString

import psycopg

from devstack import topology
from devstack.processes import Running
from testkit.chaos.disk import Disk
from testkit.chaos.machines import SERVICES, Machines

LIFETIME_SECONDS = 4.0, 14.0
DOOR_SECONDS = 10.0, 25.0  # of the gateway: while it is away, nobody can ask for anything
CALM_SECONDS = 2.0, 6.0
PAST_A_LEASE_SECONDS = 5.0
STARTED_SECONDS = 4.0
DOWN_SECONDS = 8.0
OUTAGE_SECONDS = 15.0, 25.0  # past every session, lease and timeout of a client
SILENT_SECONDS = 5.0, 10.0
FULL_SECONDS = 6.0
ARMED_SECONDS = 15.0
POINTS = {  # how often a point is passed at most before it kills: relays look more than they publish
    "relay.before_fetch": 200,
    "relay.after_fetch": 200,
    "relay.mid_produce": 5,
    "relay.after_acks": 5,
    "relay.after_checkpoint": 5,
    "consumer.before_commit": 8,
    "consumer.after_commit": 8,
}
PUBLISHING = {"relay.mid_produce", "relay.after_acks", "relay.after_checkpoint"}
BUSIEST = topology.WORKSHOP.name  # the others have little to publish while jobs go on
READING = [each.name for each in topology.STORING if each.peers]
REPUBLISH = "UPDATE es.relay_cursor SET pos = 0 WHERE log = %s"
RESET = "UPDATE consumer.cursor SET kafka_offset = -1 WHERE name = %s"
CONSUMERS = "SELECT name FROM consumer.status ORDER BY name"

Fault = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Nemesis:
    machines: Machines
    random: Random
    disk: Disk | None = None  # which may be filled
    over: bool = False

    async def rage(self) -> None:
        """Until `over`. Whatever it broke is whole again when it returns."""
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._break_servers())
            for name in SERVICES:
                lanes.create_task(self._kill_again_and_again(name))
        for name in SERVICES:
            await self._restart_unarmed(name)
        for name in SERVICES:  # some wait for others
            await self.machines.ready(name)

    async def _kill_again_and_again(self, name: str) -> None:
        while not self.over:
            running = self.machines.running(name)
            usual = LIFETIME_SECONDS if SERVICES[name].stores else DOOR_SECONDS
            unarmed = self.random.uniform(*usual)
            lifetime = ARMED_SECONDS if self.machines.armed.get(name) else unarmed
            ended = await self.machines.ended(running, lifetime)
            async with self.machines.lock(name):
                if self.machines.running(name) != running:
                    continue  # another fault was quicker
                if ended:
                    self.machines.note_death(running)
                else:
                    await self.machines.kill(running, "kill -9 at any time")
                self.machines.start(name, self._failpoint(name))

    def _failpoint(self, name: str) -> str:
        if not SERVICES[name].stores or self.random.random() < 0.3:
            return ""
        points = POINTS if name == BUSIEST else POINTS.keys() - PUBLISHING
        point = self.random.choice(sorted(points))
        return f"{point}:kill:{self.random.randint(1, POINTS[point])}"

    async def _restart_unarmed(self, name: str) -> None:
        await self._end(name)
        await asyncio.to_thread(self.machines.start, name)

    async def _end(self, name: str) -> None:
        running = self.machines.running(name)
        if running.process():
            await self.machines.kill(running, "kill -9 at any time")
        else:
            self.machines.note_death(running)

    async def _break_servers(self) -> None:
        """Each kind once in every round, in another order each time."""
        while not self.over:
            faults = list(self._faults())
            self.random.shuffle(faults)
            for fault in faults:
                await asyncio.sleep(self.random.uniform(*CALM_SECONDS))
                if self.over:
                    return
                await fault()

    def _faults(self) -> Sequence[Fault]:
        return (
            self._kafka_stops,
            self._kafka_is_killed,
            self._kafka_is_away,
            self._kafka_hangs,
            self._postgres_stops,
            self._database_is_away,
            self._service_sleeps,
            self._process_hangs,
            *([] if self.disk is None else [partial(self._disk_is_full, self.disk)]),
            self._topic_is_republished,
            self._offsets_are_reset,
        )

    async def _kafka_stops(self) -> None:
        broker = self.machines.running("kafka")
        self.machines.signal(broker, SIGTERM, "Kafka stops")
        if not await self.machines.ended(broker, 15):
            await self.machines.kill(broker, "Kafka is killed")
        await asyncio.sleep(self.random.uniform(0, DOWN_SECONDS))
        await self._start("kafka")

    async def _kafka_is_killed(self) -> None:
        await self.machines.kill(self.machines.running("kafka"), "Kafka is killed")
        await self._start("kafka")

    async def _kafka_is_away(self) -> None:
        async with self._nobody_killed():
            await self.machines.kill(self.machines.running("kafka"), "Kafka is away for long")
            await asyncio.sleep(self.random.uniform(*OUTAGE_SECONDS))
            await self._start("kafka")

    async def _kafka_hangs(self) -> None:
        """Its connections stay open, and nobody answers."""
        async with self._nobody_killed():
            await self._hang(self.machines.running("kafka"), "Kafka hangs", OUTAGE_SECONDS)

    async def _postgres_stops(self) -> None:
        await self._stop_postgres("PostgreSQL stops at once")
        await self._start("postgres")

    async def _database_is_away(self) -> None:
        await self._stop_postgres("PostgreSQL is away, Kafka is not")
        await asyncio.sleep(DOWN_SECONDS)
        await self._start("postgres")

    async def _stop_postgres(self, what: str) -> None:
        server = self.machines.running("postgres")
        self.machines.signal(server, SIGQUIT, what)
        await self.machines.ended(server, 30)

    async def _start(self, name: str) -> None:
        await asyncio.to_thread(self.machines.start, name)
        await self.machines.ready(name)

    async def _service_sleeps(self) -> None:
        """Past its lease and out of its consumer groups, while a twin does its work; then it wakes."""
        service = self.random.choice(topology.EVENT_SOURCED)
        async with self.machines.lock(service.name):
            twin = self.machines.start_twin(service)
            await asyncio.sleep(STARTED_SECONDS)
            sleeper = self.machines.running(service.name)
            if sleeper.process():
                self.machines.signal(sleeper, SIGSTOP, "a service sleeps past its lease")
                await asyncio.sleep(PAST_A_LEASE_SECONDS)
                self.machines.signal(sleeper, SIGCONT, "and wakes beside another")
                await asyncio.sleep(self.random.uniform(0, 2))
        await self.machines.kill(twin, "kill -9 at any time")

    async def _process_hangs(self) -> None:
        """With nobody to do its work."""
        name = self.random.choice(sorted(SERVICES))
        async with self.machines.lock(name):
            running = self.machines.running(name)
            if running.process():
                await self._hang(running, "a service hangs", SILENT_SECONDS)

    async def _hang(self, running: Running, what: str, seconds: tuple[float, float]) -> None:
        self.machines.signal(running, SIGSTOP, what)
        await asyncio.sleep(self.random.uniform(*seconds))
        with suppress(ProcessLookupError):
            os.kill(running.pid, SIGCONT)

    async def _disk_is_full(self, disk: Disk) -> None:
        """Of logs, topics and stores at once. Servers may end of it; services must not."""
        async with self._nobody_killed():
            with disk.full():
                self.machines.note("the disk is full", "all")
                await asyncio.sleep(FULL_SECONDS)
            await self._recover()

    @asynccontextmanager
    async def _nobody_killed(self) -> AsyncIterator[None]:
        """So that services live through it, or end by themselves and are found out."""
        async with AsyncExitStack() as locks:
            for name in SERVICES:
                await locks.enter_async_context(self.machines.lock(name))
            yield

    async def _recover(self) -> None:
        for name in ("postgres", "kafka"):
            if self.machines.running(name).process() is None:
                self.machines.note("a server ended on a full disk", name)
                await self._start(name)
            await self.machines.ready(name)

    async def _topic_is_republished(self) -> None:
        log = self.random.choice(topology.logs())
        self._execute(topology.owner_of(log), REPUBLISH, log)
        self.machines.note("a topic is published again", log)

    async def _offsets_are_reset(self) -> None:
        service = self.random.choice(READING)
        names = self._execute(service, CONSUMERS)
        async with self.machines.lock(service):
            await self._end(service)
            consumer = self.random.choice(names)
            self._execute(service, RESET, consumer)
            self.machines.note("a consumer reads its topics from the beginning", consumer)
            self.machines.start(service)

    def _execute(self, service: str, query: LiteralString, *parameters: str) -> list[str]:
        server = self.machines.stack.parts.environments.postgres
        with psycopg.connect(server.dsn(service), autocommit=True) as connection:
            found = connection.execute(query, parameters)
            return [name for (name,) in found.fetchall()] if found.description else []
