"""How the command line looks: lines, tables, JSON, and what went wrong."""

import json as standard_json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from devstack.consumers import Progress, Second
from devstack.failure import StackFailure
from devstack.health import Wrong
from devstack.stack import State
from devstack.topology import GATEWAY
from kernel.clock import SystemClock

console = Console()
errors = Console(stderr=True)

COLOURS = {"ready": "green", "not ready": "yellow", "stopped": "red", "ended": "red", "down": "dim"}
TOKEN = "`bayline token --tenant acme --role service_manager`"  # noqa: S105 -- a command line


def line(text: str, *, plain: bool = False) -> None:
    if plain:
        sys.stdout.write(f"{text}\n")
    else:
        console.print(text, highlight=False, soft_wrap=True)


def lines(named: Iterable[tuple[str, str]]) -> None:
    for name, text in named:
        console.print(f"{name:<11}", text, markup=False, highlight=False, soft_wrap=True)


def command() -> str:
    """`bayline` as it can be typed here: without an activated .venv, by its path."""
    return "bayline" if shutil.which("bayline") else os.path.relpath(sys.argv[0])


def runnable(text: str) -> str:
    return text.replace("`bayline", f"`{command()}")


def working(text: str) -> AbstractContextManager[object]:
    """A spinner below the lines, where somebody looks."""
    return console.status(text)


def step(name: str, text: str) -> None:
    line(f"[bold]{name:<11}[/] {escape(text)}")


def dated(name: str, text: str) -> None:
    """As `step`, for somebody who reads it hours later."""
    line(f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ} [bold]{name:<11}[/] {escape(text)}")


def silence(name: str, text: str) -> None:
    """In place of `step`, where a script reads the output."""


def facts(named: Iterable[tuple[str, str]]) -> None:
    """One line each, however long: what is in them is copied from there."""
    known = list(named)
    width = max(len(name) for name, _ in known)
    for name, text in known:
        line(f"[bold]{name:<{width}}[/]  {text}")


def json(value: object) -> None:
    sys.stdout.write(standard_json.dumps(value, indent=2, default=str) + "\n")


def failure(what: StackFailure) -> None:
    errors.print(what.message, style="bold red", markup=False, highlight=False, soft_wrap=True)
    if what.log:
        errors.print(what.excerpt(), markup=False, highlight=False, soft_wrap=True)
    if what.hint:
        errors.print(runnable(what.hint), markup=False, highlight=False, soft_wrap=True)


def addresses(states: Sequence[State], *, already: bool) -> None:
    table = Table(title="Everything runs already." if already else "Bayline is up.")
    for column in ("", "address", "what"):
        table.add_column(column, no_wrap=True)
    for state in states:
        table.add_row(state.name, state.address, state.what)
    console.print(table)
    line(f"Get a token: [bold]{runnable(TOKEN)}[/]")
    [gateway] = (state.address for state in states if state.name == GATEWAY.name)
    line(f"Look at the API: [bold]{gateway}/docs[/]")


def wrong(found: Sequence[Wrong]) -> None:
    """First of all what must be looked at, each with what to do."""
    if not found:
        line("[green]All is well.[/]")
        return
    line(f"[bold red]Wrong: {len(found)}[/]")
    for (what, do), ones in groupby(found, key=lambda one: (one.what, one.do)):
        step(", ".join(one.name for one in ones), what)
        line(f"{'':<11} [cyan]{escape(runnable(do))}[/]")


def processes(states: Sequence[State]) -> None:
    table = Table()
    for column in ("process", "state", "pid", "memory", "up for", "address"):
        right = column in {"pid", "memory", "up for"}
        table.add_column(column, justify="right" if right else "left")
    for state in states:
        colour = COLOURS[state.state]
        table.add_row(
            state.name,
            f"[{colour}]{state.state}[/]",
            str(state.pid or ""),
            f"{state.memory_mib:.0f} MiB" if state.memory_mib is not None else "",
            duration(state.uptime_seconds),
            state.address,
        )
    total = sum(state.memory_mib or 0 for state in states)
    table.caption = f"{total:.0f} MiB in all"
    console.print(table)


def progress(lines: Sequence[Progress]) -> None:
    if not lines:
        return
    table = Table()
    table.add_column("relay or consumer", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for column in ("lag", "parked", "rebuild", "generation"):
        table.add_column(column, justify="right")
    for one in lines:
        table.add_row(
            one.name,
            "[green]running[/]" if one.state == "running" else f"[red]{one.state}[/]",
            f"{one.lag_events} events, {one.lag_seconds:.1f} s" if one.lag_events else "none",
            _parked(one),
            f"[yellow]needed[/]: {one.rebuild_needed} skipped" if one.rebuild_needed else "no",
            str(one.generation or ""),
        )
    console.print(table)
    for one in lines:
        if one.second is not None:
            step(one.name, f"generation {second(one.second)}")


def reasons(lines: Sequence[Progress]) -> None:
    for one in lines:
        if one.state != "running":
            epoch = f"; epoch {one.epoch}" if one.epoch else ""
            step(one.name, f"{one.state}: {one.reason}{epoch}")


def second(one: Second) -> str:
    """How far the generation is that is not read."""
    if one.state == "building":
        share = f"{one.done:,} of {one.total:,} events"
        return f"{one.number} building: {share}, {one.rate:,}/s"
    if not one.compared:
        return f"{one.number} following"
    difference = f"{one.differing:,} differ" if one.differing else "all equal"
    return f"{one.number} following: {one.rows:,} rows, {difference}"


def _parked(one: Progress) -> str:
    if one.parked_streams == 0:
        return "none"
    return f"[red]{one.parked_streams} streams[/], {one.parked_events} events"


def restored(events: int, taken_at: str, epochs: Mapping[str, str]) -> None:
    line(f"{events} events of {taken_at} are back. Each store has a new epoch:")
    for service, epoch in epochs.items():
        step(service, epoch)
    line(runnable("Now `bayline up`. Consumers halt when they meet a new epoch; let them go on by"))
    for epoch in epochs.values():
        line(runnable(f"  `bayline projections resume --epoch {epoch}`"))


def duration(seconds: float | None) -> str:
    """90061 -> `1 d 1 h`; the two largest units that are not zero."""
    if seconds is None:
        return ""
    left, parts = int(seconds), []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
