"""Kafka's jars: which they are, by which sums, and how they come, without running any code that comes."""

import fcntl
import hashlib
import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.failure import StackFailure
from devstack.places import BUILD
from devstack.processes import run

SUMS = Path(__file__).parent / "jars" / "kafka.sha256"
JARS = BUILD / "kafka"
LOCAL = Path.home() / ".m2" / "repository"  # Maven's own, shared by all checkouts
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bayline</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>
  <build><plugins>{plugins}</plugins></build>
</project>
"""
PLUGIN = "<plugin><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></plugin>"


@dataclass(frozen=True, slots=True)
class Jar:
    """`sha256` is committed; where it comes from is Maven's business."""

    group: str
    artifact: str
    version: str
    sha256: str

    @classmethod
    def read(cls, line: str) -> "Jar":
        digest, coordinates = line.split()
        group, artifact, version = coordinates.split(":")
        return cls(group, artifact, version, digest)

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def place(self) -> Path:
        """In a Maven repository."""
        return Path(*self.group.split("."), self.artifact, self.version, self.name)

    def is_at(self, file: Path) -> bool:
        return file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == self.sha256


def listed() -> list[Jar]:
    return [Jar.read(line) for line in SUMS.read_text().splitlines()]


def fetch_jars() -> Path:
    """Each compared with its committed sum; kept until the sums change."""
    stamp = hashlib.sha256(SUMS.read_bytes()).hexdigest()
    mark = JARS / ".verified"
    BUILD.mkdir(exist_ok=True)
    with _locked(BUILD / ".kafka.lock"):
        if not mark.exists() or mark.read_text() != stamp:
            shutil.rmtree(JARS, ignore_errors=True)
            _fetch(listed(), LOCAL, JARS)
            mark.write_text(stamp)
    return JARS


def _fetch(jars: Sequence[Jar], local: Path, to: Path) -> None:
    said = _download(jars, local) if any(not (local / jar.place).exists() for jar in jars) else ""
    missing = [jar.name for jar in jars if not (local / jar.place).exists()]
    if missing:
        raise StackFailure(f"Maven could not fetch {', '.join(missing)}:\n{said}")
    wrong = [jar.name for jar in jars if not jar.is_at(local / jar.place)]
    if wrong:
        raise StackFailure(
            f"these jars are not the ones that were published: {', '.join(wrong)}",
            hint=f"look at them in {local}; without them there they are fetched again",
        )
    to.mkdir(parents=True)
    for jar in jars:
        shutil.copy(local / jar.place, to)


def _download(jars: Sequence[Jar], local: Path) -> str:
    """Has Maven look for a plugin that nobody has among all these; returns what it says of that.

    It fetches each to read its description, finds none that it looks for, and ends: no plugin is
    run, not even one that copies files, whose own code nothing would have verified.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise StackFailure(
            "Kafka's jars come through Maven, and there is no `mvn` on the PATH",
            hint="run `make setup`, or install maven",
        )
    pom = BUILD / "kafka-pom.xml"
    plugins = (PLUGIN.format(jar.group, jar.artifact, jar.version) for jar in jars)
    pom.write_text(POM.format(plugins="".join(plugins)))
    nobodys = f"{secrets.token_hex(16)}:none"
    done = run((maven, "-q", "-B", "-f", str(pom), f"-Dmaven.repo.local={local}", nobodys))
    return done.stdout.strip()


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
