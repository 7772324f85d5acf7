"""`make bench`: what commands, reads, events and replays cost, each beside the least that could do it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

import psutil
import typer
import uvloop

from devstack.stack import Stack
from tests.load import requests
from tests.load.report import Part, Report, machine
from tests.load.starts import started

Measure = Callable[[Stack], Awaitable[Part]]

PARTS: Mapping[str, Measure] = {
    "requests": requests.measured,
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
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it warns of each login on this machine
    where = machine(psutil.getloadavg()[0])
    with started() as (stack, start):
        parts = [start, *(uvloop.run(_measured(PARTS[name], stack)) for name in wanted)]
    report = Report(parts, where)
    report.write()
    report.show()
    if not only:
        report.publish()
    raise typer.Exit(int(report.refused() > 0))


async def _measured(measure: Measure, stack: Stack) -> Part:
    return await measure(stack)


if __name__ == "__main__":
    typer.run(main)
