"""`make chaos`: faults for some minutes, then the invariants; exit code 1 when one does not hold."""

import asyncio
import sys
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
import uvloop

from testkit.chaos.run import run

FOLDER = Path("build/chaos")


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long things break.")] = 3.0,
    seed: Annotated[int, typer.Option(help="0: a new one, which is printed.")] = 0,
) -> None:
    """Kills and stops everything while a fleet works, then asks whether anything was lost."""
    seed = seed or SystemRandom().randrange(1, 1_000_000)
    sys.stdout.write(f"seed {seed}, {minutes:g} minutes; the history is {FOLDER}/history.ndjson\n")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run(seed, minutes, FOLDER / "history.ndjson"))
    text = report.markdown()
    (FOLDER / "report.md").write_text(text)
    sys.stdout.write(text)
    sys.exit(0 if report.holds else 1)


if __name__ == "__main__":
    typer.run(main)
