"""vegeta, the load generator: native, since one in Python is slower than what it measures."""

import csv
import json
import resource
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

VEGETA = Path("build/bench/vegeta").absolute()
EXHAUSTED = "no targets to attack"  # said once by each worker when all are sent

csv.field_size_limit(sys.maxsize)


@dataclass(frozen=True, slots=True)
class Target:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""

    def line(self) -> str:
        header = {name: [value] for name, value in self.headers.items()}
        body = b64encode(self.body).decode()
        target = {"method": self.method, "url": self.url, "header": header, "body": body}
        return json.dumps(target) + "\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """Seconds; `sent` since 1970. `status` 0: none came, and `error` says why."""

    number: int
    sent: float
    took: float
    status: int
    error: str
    body: bytes

    @property
    def refused(self) -> bool:
        return not 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Answers:
    """`rate` 0: closed loop, each worker sends when it is answered."""

    all: Sequence[Answer]
    rate: float = 0
    cpu: float = field(default=0, compare=False)  # seconds, of the generator

    @property
    def refused(self) -> Sequence[Answer]:
        return [each for each in self.all if each.refused]

    def bodies(self) -> Iterator[Any]:
        return (json.loads(each.body) for each in self.all if not each.refused)

    def per_second(self) -> float:
        ends = max(each.sent + each.took for each in self.all)
        return len(self.all) / (ends - min(each.sent for each in self.all))

    def milliseconds(self, percent: float) -> float:
        """Open loop: from when it was due, so that a generator held up hides nothing."""
        return percentile(self._taken(), percent) * 1000

    def lateness(self, percent: float) -> float:
        """Milliseconds from due to sent: what the generator itself adds."""
        late = [taken - each.took for each, taken in zip(self.all, self._taken(), strict=True)]
        return percentile(late, percent) * 1000

    def _taken(self) -> list[float]:
        if not self.rate:
            return [each.took for each in self.all]
        begun = min(each.sent - each.number / self.rate for each in self.all)
        return [each.sent + each.took - begun - each.number / self.rate for each in self.all]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest rank: a value that was seen."""
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


def at_rate(targets: Sequence[Target], per_second: int) -> Answers:
    """Open loop: each is sent when it is due, whether or not earlier ones are answered."""
    seconds = len(targets) / per_second
    return _attack(targets, per_second, f"-rate={per_second}/1s", f"-duration={seconds:.3f}s")


def at_once(targets: Sequence[Target], workers: int) -> Answers:
    """Closed loop: so many at a time, as fast as they are answered."""
    return _attack(targets, 0, "-rate=0", f"-workers={workers}", f"-max-workers={workers}")


def _attack(targets: Sequence[Target], rate: float, *flags: str) -> Answers:
    with TemporaryDirectory(prefix="bayline-load-") as folder:
        sent, answered, read = (
            Path(folder, name) for name in ("targets", "answers", "answers.csv")
        )
        sent.write_text("".join(target.line() for target in targets))
        arguments = ("-format=json", "-lazy", f"-targets={sent}", f"-output={answered}", *flags)
        cpu = _run("attack", *arguments)
        _run("encode", "-to=csv", f"-output={read}", str(answered))
        with read.open(newline="") as rows:
            return Answers([each for each in map(_answer, csv.reader(rows)) if each], rate, cpu)


def _answer(row: Sequence[str]) -> Answer | None:
    sent, status, took, _, _, error, body, _, number, *_ = row
    if error == EXHAUSTED:
        return None
    return Answer(
        int(number), int(sent) / 1e9, int(took) / 1e9, int(status), error, b64decode(body)
    )


def _run(*arguments: str) -> float:
    """Seconds of CPU that it took."""
    before = _used()
    subprocess.run((VEGETA, *arguments), check=True)  # noqa: S603 -- what scripts/bootstrap built
    return _used() - before


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
