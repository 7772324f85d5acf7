"""What was measured: rows of figures, as JSON, on screen, and as docs/bench.md."""

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from rich.console import Console
from rich.table import Table

LATEST = Path("build/bench/latest.json")
PAGE = Path("docs/bench.md")
WIDTH = 130
HEADINGS = ("", "value", "unit", "baseline", "ratio", "goal", "met")


@dataclass(frozen=True, slots=True)
class Goal:
    """Of the value, or of how it compares with the baseline."""

    bound: Literal["<=", ">="]
    limit: float
    of: Literal["value", "ratio", "difference"] = "value"

    def is_met_by(self, row: "Row") -> bool:
        figure = getattr(row, self.of)
        assert figure is not None, f"{row.name} has no baseline to be held against"
        return bool(figure <= self.limit if self.bound == "<=" else figure >= self.limit)

    def __str__(self) -> str:
        of = "" if self.of == "value" else f"{self.of} "
        return f"{of}{self.bound} {_figure(self.limit)}"


@dataclass(frozen=True, slots=True)
class Row:
    """`against` says what the baseline is, which was measured in the same run."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    against: str = ""
    goals: tuple[Goal, ...] = ()

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None

    @property
    def difference(self) -> float | None:
        return None if self.baseline is None else self.value - self.baseline

    @property
    def met(self) -> bool | None:
        return all(goal.is_met_by(self) for goal in self.goals) if self.goals else None

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "baseline": _rounded(self.baseline),
            "against": self.against,
            "ratio": _rounded(self.ratio),
            "goal": self._goal(),
            "met": self.met,
        }

    def cells(self) -> tuple[str, ...]:
        met = {None: "", True: "yes", False: "no"}[self.met]
        baseline, ratio = _figure(self.baseline), _figure(self.ratio)
        return self.name, _figure(self.value), self.unit, baseline, ratio, self._goal(), met

    def _goal(self) -> str:
        return ", ".join(map(str, self.goals))


@dataclass(frozen=True, slots=True)
class Part:
    """Rows measured together, how, and how many requests were refused meanwhile."""

    name: str
    how: str
    rows: Sequence[Row]
    refused: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Report:
    parts: Sequence[Part]
    machine: str

    def rows(self) -> list[Row]:
        return [row for part in self.parts for row in part.rows]

    def refused(self) -> int:
        return sum(part.refused for part in self.parts)

    def write(self) -> None:
        LATEST.parent.mkdir(parents=True, exist_ok=True)
        LATEST.write_text(json.dumps([row.json() for row in self.rows()], indent=2) + "\n")

    def publish(self) -> None:
        """For the repository; only a run of every part is."""
        PAGE.write_text("".join(f"{line}\n" for line in self._page()))

    def show(self) -> None:
        table = Table(title=self.machine)
        for heading in HEADINGS:
            side: Literal["left", "right"] = "left" if heading in ("", "unit") else "right"
            table.add_column(heading, justify=side, no_wrap=True)
        for part in self.parts:
            table.add_section()
            for row in part.rows:
                table.add_row(*row.cells(), style="red" if row.met is False else "")
        console = Console()
        console.width = max(console.width, WIDTH)
        console.print(table)
        for note in self._notes():
            console.print(note)

    def _notes(self) -> Iterator[str]:
        yield from (note for part in self.parts for note in part.notes)
        if self.refused():
            yield f"{self.refused()} requests were refused: their latencies are not comparable"

    def _page(self) -> Iterator[str]:
        yield from (INTRODUCTION.format(machine=self.machine), "")
        for part in self.parts:
            yield from (f"## {part.name}", "", part.how, "")
            yield from _markdown(part.rows)
            yield from (line for note in part.notes for line in ("", note))
            yield ""


INTRODUCTION = """# Bench, and the last report

Written by `make bench`, which measures everything below on a stack of its own; `make bench ONLY=requests,live` measures parts of it, without writing this page. The generator, the stack and its servers share the machine. A baseline was measured in the same run; the ratio is the value divided by it.

{machine}."""


def machine(load: float) -> str:
    """What it ran on; `load` is how busy it was with other things before."""
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"  # noqa: TID251 -- when a tool was run
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    cores = f"{psutil.cpu_count()} cores ({_processor()}), {memory}"
    return f"{when}, {cores}, Python {platform.python_version()}, load before {load:.1f}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))


def _markdown(rows: Sequence[Row]) -> Iterator[str]:
    yield "| | value | unit | baseline | | ratio | goal | met |"
    yield "|---|---:|---|---:|---|---:|---|---|"
    for row in rows:
        name, value, unit, baseline, *rest = row.cells()
        yield "| " + " | ".join((name, value, unit, baseline, row.against, *rest)) + " |"


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else float(f"{figure:.4g}")


def _figure(figure: float | None) -> str:
    """Three digits that count."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
