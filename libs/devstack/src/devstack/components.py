"""The parts of the stack, each with how it is started, and what must be true once it runs."""

import asyncio
import http.client
import shutil
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devstack import accounts, databases, maven, topology
from devstack.environments import Environments
from devstack.failure import StackFailure
from devstack.kafka import Broker
from devstack.ports import HOST
from devstack.postgres import Cluster, folder_of, keep_private
from devstack.processes import Program, run
from devstack.topology import Service
from messaging.admin import ensure_topics


@dataclass(frozen=True, slots=True)
class Component:
    """`prepare` before it starts, `settle` once it answers and before others rely on it."""

    name: str
    ports: tuple[int, ...]
    prepare: Callable[[], Program]
    complaint: Callable[[], str]  # why it cannot be used; empty when it can
    settle: Callable[[], Iterable[str]]  # may be repeated; says what it changed
    address: str
    what: str
    answers: Callable[[], bool]  # whether it says anything at all, be it that it is not ready


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs on one home folder."""

    home: Path
    environments: Environments

    def phases(self) -> tuple[tuple[Component, ...], ...]:
        """In order; those of one phase may start at the same time."""
        behind = tuple(map(self._service, topology.STORING))
        return (self._postgres(), self._kafka(), self._issuer()), behind, (self._gateway(),)

    def all(self) -> tuple[Component, ...]:
        return tuple(component for phase in self.phases() for component in phase)

    def log(self, name: str) -> Path:
        return self.home / "log" / f"{name}.log"

    def logs(self) -> Iterable[Path]:
        return (self.home / "log").glob("*.log")

    def folders(self) -> tuple[Path, ...]:
        """Where data is written: PostgreSQL's may lie elsewhere."""
        return self.home, folder_of(self.home)

    def anchor(self) -> Path:
        """Checkpoints of the audit log, apart from the database that holds it."""
        return self.home / "audit" / "checkpoints.ndjson"

    def restoring(self) -> Path:
        """Whom a restore forgets again: there until it is done, also when it is cut off."""
        return self.home / "erased.json"

    def cluster(self) -> Cluster:
        server = self.environments.postgres
        return Cluster(folder_of(self.home), self.log("postgres"), server)

    def broker(self) -> Broker:
        offset = self.environments.offset
        port, controller = topology.KAFKA_PORT + offset, topology.CONTROLLER_PORT + offset
        password = self.environments.kafka_passwords()[accounts.ADMIN]
        return Broker(self.home / "kafka", port, controller, self.log("kafka"), password)

    def erase(self) -> None:
        """Forgets all data: stores, topics, keys, logs. Nothing may run."""
        shutil.rmtree(folder_of(self.home), ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def migrate(self, database: str) -> list[str]:
        """Brings one database to the newest schema; returns what was applied."""
        argv = (sys.executable, "-m", "runtime.migrate", database)
        done = run(argv, env=self.environments.of_migration(database))
        if done.returncode != 0:
            raise StackFailure(f"the migration of {database} failed: {done.stderr.strip()}")
        return [line for line in done.stdout.splitlines() if line.startswith("applied")]

    def _postgres(self) -> Component:
        cluster = self.cluster()

        def prepare() -> Program:
            keep_private(self.home)
            cluster.initialise()
            cluster.clear_after_kill()
            return cluster.program()

        port = cluster.server.port
        return Component(
            "postgres",
            (port,),
            prepare,
            cluster.complaint,
            self._databases,
            f"{HOST}:{port}",
            "PostgreSQL 18",
            _recovers_alone,
        )

    def _databases(self) -> list[str]:
        server = self.environments.postgres
        names = [service.name for service in topology.STORING]
        for name in names:
            databases.prepare(server, name, self.environments.passwords(name))
        with ThreadPoolExecutor(2) as workers:
            applied = dict(zip(names, workers.map(self.migrate, names), strict=True))
        return [f"{name} migrated ({len(files)} files)" for name, files in applied.items() if files]

    def _kafka(self) -> Component:
        broker = self.broker()

        def prepare() -> Program:
            maven.fetch_jars()
            broker.initialise()
            return broker.program()

        return Component(
            "kafka",
            (broker.port, broker.controller_port),
            prepare,
            broker.complaint,
            self._topics,
            broker.bootstrap,
            "Apache Kafka 4.3",
            _recovers_alone,
        )

    def _topics(self) -> list[str]:
        rights = [right for each in topology.SERVICES for right in accounts.rights_of(each)]
        self.broker().admit(self.environments.kafka_passwords(), rights)
        asyncio.run(ensure_topics(self.environments.kafka, topology.topics()))
        return []

    def _issuer(self) -> Component:
        port = topology.ISSUER_PORT + self.environments.offset
        program = Program(
            "issuer",
            (sys.executable, "-m", "devstack.issuer"),
            log=self.log("issuer"),
            env=self.environments.of_issuer(),
        )
        return self._process(program, (port,), port, self.environments.issuer, "tokens, login")

    def _service(self, service: Service) -> Component:
        port, admin = (number + self.environments.offset for number in service.ports)
        return self._process(
            self.program(service), (port, admin), admin, f"{HOST}:{port}", service.what
        )

    def _gateway(self) -> Component:
        port, admin = (number + self.environments.offset for number in topology.GATEWAY.ports)
        address, program = self.environments.gateway, self.program(topology.GATEWAY)
        return self._process(program, (port, admin), admin, address, topology.GATEWAY.what)

    def program(self, service: Service) -> Program:
        """How a service of ours is started; tests start it armed."""
        return Program(
            service.name,
            (sys.executable, "-m", service.name),
            log=self.log(service.name),
            env=self._places(service) | self.environments.of(service),
        )

    def _places(self, service: Service) -> dict[str, str]:
        """Where in the home folder a service keeps what stands outside of its database."""
        if service is not topology.AUDIT:
            return {}
        return {"AUDIT__ANCHOR_FILE": str(self.anchor())}

    def _process(
        self, program: Program, ports: tuple[int, ...], health: int, address: str, what: str
    ) -> Component:
        def complaint() -> str:
            return unreadiness(health)

        return Component(
            program.name,
            ports,
            lambda: program,
            complaint,
            list,
            address,
            what,
            partial(answers, health),
        )


def _recovers_alone() -> bool:
    """A server may be silent for long while it reads its logs: to start it anew would begin that anew."""
    return True


def unreadiness(port: int) -> str:
    """What /readyz says instead of yes."""
    try:
        status, body = _asked(port, "/readyz")
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    return "" if status == http.client.OK else body.strip() or str(status)


def answers(port: int) -> bool:
    try:
        _asked(port, "/livez")
    except (OSError, http.client.HTTPException):
        return False
    return True


def _asked(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()
