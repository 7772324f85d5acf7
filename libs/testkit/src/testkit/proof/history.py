"""What clients asked and what they were told, line by line, unknown outcomes included."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from kernel.clock import Clock, SystemClock


class Outcome(StrEnum):
    ACCEPTED = "ok"
    REFUSED = "fail"
    UNKNOWN = "info"


@dataclass(frozen=True, slots=True)
class Command:
    """One key. An accepted one names the stream and the version it was answered with."""

    tenant: str
    key: str
    what: str
    outcome: Outcome
    stream: UUID | None = None
    version: int = 0


class History:
    """Lines of JSON, each on disk before the next thing happens: `invoke`, then `ok`, `fail` or `info`."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", buffering=1)
        self._clock = clock or SystemClock()

    def note(self, kind: str, **fields: object) -> None:
        line = {"at": self._clock.now().isoformat(), "type": kind, **fields}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._file.close()


def lines_of(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open() as file:
        yield from map(json.loads, file)


def commands_of(lines: Iterable[Mapping[str, Any]]) -> list[Command]:
    """The last word on each key. A refusal after an unknown attempt says nothing about that one."""
    found: dict[tuple[str, str], Command] = {}
    unknown: set[tuple[str, str]] = set()
    for line in lines:
        if "key" not in line:
            continue
        place = line["tenant"], line["key"]
        if line["type"] == Outcome.UNKNOWN:
            unknown.add(place)
        found[place] = _command(line, doubted=place in unknown)
    return list(found.values())


def _command(line: Mapping[str, Any], *, doubted: bool) -> Command:
    asked = line["tenant"], line["key"], line["what"]
    if line["type"] == Outcome.ACCEPTED:
        return Command(*asked, Outcome.ACCEPTED, UUID(line["stream"]), line["version"])
    known = line["type"] == Outcome.REFUSED and not doubted
    return Command(*asked, Outcome.REFUSED if known else Outcome.UNKNOWN)
