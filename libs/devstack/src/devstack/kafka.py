"""Apache Kafka from its published jars: one KRaft node, no ZooKeeper, no container."""

import asyncio
import base64
import hashlib
import logging
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from devstack import accounts, private_files
from devstack.accounts import Login, Right
from devstack.failure import StackFailure
from devstack.maven import JARS
from devstack.ports import HOST
from devstack.processes import Program, run
from messaging.kafka import connection

TO_ITSELF = "Sending username and password in the clear"  # the administrator's, from here to here
logging.getLogger("aiokafka.conn").addFilter(lambda record: record.msg != TO_ITSELF)

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=SERVICES://{host}:{port},CONTROLLER://{host}:{controller_port}{open_listener}
advertised.listeners=SERVICES://{host}:{port}{open_listener}
inter.broker.listener.name=SERVICES
listener.security.protocol.map=SERVICES:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT,OPEN:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.services.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.services.plain.sasl.jaas.config={admin}
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config={admin}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:admin{open_user}
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
metadata.max.idle.interval.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

SECURITY = "org.apache.kafka.common.security"
ADMIN_MODULE = (
    f"{SECURITY}.plain.PlainLoginModule required "
    'username="admin" password="{password}" user_admin="{password}";'
)

LOGGING = """\
status=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %-5p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """One node on a data folder. `heap` is in MiB.

    Services prove who they are by SCRAM. The administrator alone has a password in the
    configuration, which sets those of all others. Whoever comes by `open_port`, if there is
    one, is asked nothing and may do anything: that is for tests.
    """

    folder: Path
    port: int
    controller_port: int
    log: Path
    password: str  # the administrator's
    heap: int = 384
    open_port: int = 0

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def initialise(self) -> None:
        """Writes the configuration; formats the data folder where there is none yet."""
        private_files.write(self.folder / "log4j2.properties", LOGGING)
        private_files.write(self.folder / "server.properties", self._properties())
        if not (self.data / "meta.properties").exists():
            self._format()

    def _properties(self) -> str:
        return PROPERTIES.format(
            host=HOST,
            port=self.port,
            controller_port=self.controller_port,
            data=self.data,
            security=SECURITY,
            admin=ADMIN_MODULE.format(password=self.password),
            open_listener=f",OPEN://{HOST}:{self.open_port}" if self.open_port else "",
            open_user=";User:ANONYMOUS" if self.open_port else "",
        )

    def _format(self) -> None:
        done = run(
            (
                *self._java("64m"),
                "kafka.tools.StorageTool",
                *("format", f"--cluster-id={cluster_id(self.folder)}"),
                *("-c", str(self.folder / "server.properties")),
            )
        )
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip()
            raise StackFailure(f"Kafka cannot format its data folder: {reason}")

    def program(self) -> Program:
        settings = str(self.folder / "server.properties")
        return Program(
            "kafka", (*self._java(f"{self.heap}m"), "kafka.Kafka", settings), log=self.log
        )

    def _java(self, heap: str) -> tuple[str, ...]:
        return (
            java(),
            "-Xms64m",
            f"-Xmx{heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            *("-cp", f"{JARS}/*"),
        )

    def complaint(self) -> str:
        """Why it cannot be used yet; empty when it can."""
        return asyncio.run(complaint(self._as_administrator()))

    def admit(self, passwords: Mapping[str, str], rights: Sequence[Right]) -> None:
        """Lets services in: with which password, to do what. May be said again."""

        async def admitted() -> None:
            async with client_of(self._as_administrator()) as client:
                await accounts.admit(client, passwords, rights)

        asyncio.run(admitted())

    def _as_administrator(self) -> dict[str, Any]:
        """By the password in its configuration, which it knows before any other."""
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": accounts.ADMIN,
            "sasl_plain_password": self.password,
        }


async def complaint(how: Mapping[str, Any]) -> str:
    host, port = how["bootstrap_servers"].rsplit(":", 1)
    try:
        _, writer = await asyncio.open_connection(
            host, int(port)
        )  # aiokafka logs what this does not
        writer.close()
        async with client_of(how) as client:
            await client.describe_cluster()
    except (KafkaError, OSError) as error:
        return str(error)
    return ""


def admin(login: Login) -> AbstractAsyncContextManager[AIOKafkaAdminClient]:
    return client_of(connection(login))


@asynccontextmanager
async def client_of(how: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """`how` is what aiokafka's clients are given to connect."""
    client = AIOKafkaAdminClient(**how, request_timeout_ms=3000)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


def cluster_id(folder: Path) -> str:
    """22 characters of base64, the same for the same folder."""
    digest = hashlib.sha256(str(folder).encode()).digest()[:16]
    return base64.urlsafe_b64encode(UUID(bytes=digest, version=4).bytes).decode().rstrip("=")


def java() -> str:
    found = shutil.which("java")
    if found is None:
        raise StackFailure(
            "Kafka needs Java, and there is no `java` on the PATH",
            hint="run `make setup`, or install openjdk-17-jre-headless",
        )
    return found
