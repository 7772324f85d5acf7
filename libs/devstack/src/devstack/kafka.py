"""Apache Kafka from its published jars: one KRaft node, no ZooKeeper, no container."""

import asyncio
import base64
import fcntl
import hashlib
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from devstack.failure import StackFailure
from devstack.places import BUILD
from devstack.ports import HOST
from devstack.processes import Program, run

POM = Path(__file__).parent / "jars" / "pom.xml"
SUMS = Path(__file__).parent / "jars" / "kafka.sha256"
JARS = BUILD / "kafka"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

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
    """One node on a data folder. `heap` is in MiB."""

    folder: Path
    port: int
    controller_port: int
    log: Path
    heap: int = 384

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def initialise(self) -> None:
        """Writes the configuration; formats the data folder where there is none yet."""
        data = self.folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOGGING)
        (self.folder / "server.properties").write_text(
            PROPERTIES.format(
                host=HOST, port=self.port, controller_port=self.controller_port, data=data
            )
        )
        if not (data / "meta.properties").exists():
            self._format()

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
        return asyncio.run(complaint(self.bootstrap))


async def complaint(bootstrap: str) -> str:
    host, port = bootstrap.rsplit(":", 1)
    try:
        _, writer = await asyncio.open_connection(
            host, int(port)
        )  # aiokafka logs what this does not
        writer.close()
        async with admin(bootstrap) as client:
            await client.describe_cluster()
    except (KafkaError, OSError) as error:
        return str(error)
    return ""


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=3000)
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


def fetch_jars() -> Path:
    """Kafka's jars by Maven, each compared with its committed sum; kept until the sums change."""
    stamp = hashlib.sha256(SUMS.read_bytes()).hexdigest()
    mark = JARS / ".verified"
    BUILD.mkdir(exist_ok=True)
    with _locked(BUILD / ".kafka.lock"):
        if not mark.exists() or mark.read_text() != stamp:
            shutil.rmtree(JARS, ignore_errors=True)
            _download()
            _verify()
            mark.write_text(stamp)
    return JARS


def _download() -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackFailure(
            "Kafka's jars come through Maven, and there is no `mvn` on the PATH",
            hint="run `make setup`, or install maven",
        )
    command = (maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies")
    options = (f"-DoutputDirectory={JARS}", "-DincludeScope=runtime")
    done = run((*command, *options))
    if done.returncode != 0:
        raise StackFailure(f"Maven could not fetch Kafka's jars:\n{done.stdout.strip()}")


def _verify() -> None:
    sums = (line.split() for line in SUMS.read_text().splitlines())
    expected = {name: digest for digest, name in sums}
    actual = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in JARS.glob("*.jar")}
    wrong = sorted(set(expected.items()) ^ set(actual.items()))
    if wrong:
        names = ", ".join(sorted({name for name, _ in wrong}))
        raise StackFailure(f"these jars are not the ones that were published: {names}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        fetch_jars()
    except StackFailure as failure:
        sys.exit(str(failure))
