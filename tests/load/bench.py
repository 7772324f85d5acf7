"""`make bench`: what commands, reads, events and replays cost, each beside the least that could do it."""

import logging
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any

import psutil
import typer
import uvloop

from devstack.stack import Stack
from tests.load import audit, live, replay, requests, soak, store
from tests.load.report import Part, Report, machine
from tests.load.starts import started

Measure = Callable[[Stack], Coroutine[Any, Any, Part]]

PARTS: Mapping[str, Measure] = {
    "requests": requests.measured,
    "live": live.measured,
    "store": store.measured,
    "replay": replay.measured,
    "audit": audit.measured,
    "soak": soak.measured,
}


def main(
    only: Annotated[str, typer.Option(help=f"Of {', '.join(PARTS)}; with commas between.")] = "",
) -> None:
    """Starts a stack of its own, measures, shows a table, and writes build/bench/latest.json."""
    wanted = [name.strip() for name in only.split(",") if name.strip()] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        raise typer.BadParameter(
            f"there is no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}"
        )
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it cannot do, it raises
    where = machine(psutil.getloadavg()[0])
    with started() as (stack, start):
        parts = [start, *(_measured(stack, name) for name in wanted)]
    report = Report(parts, where)
    report.write()
    report.show()
    if not only:
        report.publish()
    raise typer.Exit(int(report.refused() > 0))


def _measured(stack: Stack, name: str) -> Part:
    begun = time.monotonic()
    part = uvloop.run(PARTS[name](stack))
    sys.stderr.write(f"{name}: {time.monotonic() - begun:.0f} s\n")
    return part


if __name__ == "__main__":
    typer.run(main)
