"""Real PostgreSQL and real Kafka, started once per test process and gone with it."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGQUIT, SIGSTOP
from typing import Self
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from devstack import accounts, databases, kafka, maven, topology
from devstack.accounts import Login
from devstack.databases import LOGINS, Database
from devstack.kafka import Broker
from devstack.ports import HOST, free_port
from devstack.postgres import Cluster, Server
from devstack.processes import Running, spawn, stop, wait_until_ready
from devstack.stack import Stack
from kernel.ids import Uuid7

PASSWORD = "tests-only"  # noqa: S105 -- of roles that live as long as a test run
PASSWORDS = dict.fromkeys(LOGINS, PASSWORD)
KAFKA_USERS = (accounts.ADMIN, *(service.name for service in topology.SERVICES))

NewDatabase = Callable[[str], Database]


class GivenServers(BaseSettings, frozen=True):
    """Servers to use instead of our own: throwaway ones, since roles get known passwords."""

    database_url: str = ""
    kafka_bootstrap: str = ""


@dataclass(frozen=True, slots=True)
class KafkaServer(Login):
    """Who comes to `bootstrap` is asked nothing; who comes to `guarded`, all that services are."""

    guarded: str = ""

    def login(self, user: str, password: str = PASSWORD) -> Login:
        return Login(self.guarded, user, SecretStr(password))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    given = GivenServers().database_url
    with _own_postgres() if not given else _given_postgres(given) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    given = GivenServers().kafka_bootstrap
    if given:
        yield KafkaServer(given)
        return
    with _own_kafka() as server:
        yield server


@pytest.fixture(scope="session")
def database(postgres_server: Server) -> Iterator[NewDatabase]:
    """`database("workshop")` makes an empty database with the roles of that service."""
    with ExitStack() as made:

        def create(service: str) -> Database:
            name = f"{service}_{_unique()}"
            made.callback(databases.drop, postgres_server, name)
            return databases.prepare(postgres_server, service, PASSWORDS, name)

        yield create


@pytest.fixture(scope="session")
def whole_stack() -> Iterator[Stack]:
    """For tests marked e2e, which share one."""
    with own_stack() as stack:
        yield stack


@contextmanager
def own_stack() -> Iterator[Stack]:
    """All of `make up` on ports and data of its own."""
    with own_place() as stack:
        stack.up(say_nothing)
        yield stack


@contextmanager
def own_place() -> Iterator[Stack]:
    """A stack of which nothing is started yet; whatever then is, is stopped in the end."""
    with _folder() as folder:
        stack = Stack.beside(folder / "home")
        try:
            yield stack
        finally:
            stack.down(say_nothing)


@pytest.fixture
def topic_prefix() -> str:
    """Put before a topic's name, it keeps one test's records from another's."""
    return f"t{_unique()}."


def _unique() -> str:
    return Uuid7().new().hex[-12:]


def say_nothing(name: str, text: str) -> None:
    """A test that fails shows the failure itself."""


@dataclass(slots=True)
class OwnPostgres:
    """A server of one's own, to be stopped at once: what it has not on disk is gone."""

    cluster: Cluster
    running: Running

    @property
    def server(self) -> Server:
        return self.cluster.server

    @classmethod
    def started(cls, cluster: Cluster) -> Self:
        running = spawn(cluster.program(), dies_with_parent=True)
        wait_until_ready(running, cluster.log, cluster.complaint)
        return cls(cluster, running)

    def stop_at_once(self) -> None:
        """`pg_ctl stop -m immediate`: nobody is asked to finish, and a start recovers."""
        stop(replace(self.running, stop_signal=SIGQUIT))

    def start(self) -> None:
        self.cluster.clear_after_kill()
        self.running = self.started(self.cluster).running


@contextmanager
def own_postgres(*, durable: bool = True) -> Iterator[OwnPostgres]:
    with _folder() as folder:
        server = Server(free_port(), PASSWORD)
        cluster = Cluster(folder / "data", folder / "postgres.log", server, durable=durable)
        cluster.initialise()
        own = OwnPostgres.started(cluster)
        try:
            yield own
        finally:
            stop(own.running)


@contextmanager
def _own_postgres() -> Iterator[Server]:
    with own_postgres(durable=False) as own:
        yield own.server


@contextmanager
def _given_postgres(url: str) -> Iterator[Server]:
    parts = urlsplit(url)
    if not (parts.hostname and parts.username):
        pytest.fail("DATABASE_URL must name a host and a superuser: postgresql://user:pw@host/db")
    yield Server(
        parts.port or 5432, unquote(parts.password or ""), parts.hostname, unquote(parts.username)
    )


@dataclass(slots=True)
class OwnKafka:
    """A broker of one's own, to be killed, or to be there and say nothing."""

    broker: Broker
    running: Running

    @property
    def server(self) -> KafkaServer:
        return KafkaServer(f"{HOST}:{self.broker.open_port}", guarded=self.broker.bootstrap)

    @classmethod
    def started(cls, broker: Broker) -> Self:
        running = spawn(broker.program(), dies_with_parent=True)
        wait_until_ready(running, broker.log, broker.complaint)
        return cls(broker, running)

    def kill(self) -> None:
        stop(replace(self.running, stop_signal=SIGKILL))

    def start(self) -> None:
        """Answers after some seconds; nobody waits for that here."""
        self.running = spawn(self.broker.program(), dies_with_parent=True)

    def freeze(self) -> None:
        os.kill(self.running.pid, SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.running.pid, SIGCONT)


@contextmanager
def own_kafka() -> Iterator[OwnKafka]:
    maven.fetch_jars()
    with _folder() as folder:
        ports = free_port(), free_port()
        broker = Broker(folder, *ports, folder / "kafka.log", PASSWORD, 256, free_port())
        broker.initialise()
        own = OwnKafka.started(broker)
        try:
            yield own
        finally:
            own.kill()


@contextmanager
def _own_kafka() -> Iterator[KafkaServer]:
    with own_kafka() as own:
        own.broker.admit(dict.fromkeys(KAFKA_USERS, PASSWORD), ())
        yield own.server
        _check_tidy(own.server)


def _check_tidy(server: KafkaServer) -> None:
    """A broker's memory is bounded by its partitions: a test deletes the topics that it made."""

    async def listed() -> list[str]:
        async with kafka.admin(server) as admin:
            return [name for name in await admin.list_topics() if not name.startswith("__")]

    left = sorted(asyncio.run(listed()))
    if left:
        pytest.fail(f"tests left topics behind, see testkit.topics: {', '.join(left)}")


@contextmanager
def _folder() -> Iterator[Path]:
    """Below the system's temporary folder: PostgreSQL's user cannot enter pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="bayline-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
