"""`python -m testkit.proof`: whether the local stack keeps every promise, as it stands now.

Nothing may write meanwhile. With the history of all its clients, what they were told counts too.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from devstack.stack import Stack
from testkit.proof.evidence import Evidence
from testkit.proof.gathering import gather, quiet
from testkit.proof.history import commands_of, lines_of
from testkit.proof.invariants import INVARIANTS, violations


def main(
    history: Annotated[Path | None, typer.Option(help="NDJSON, as `make chaos` writes it.")] = None,
) -> None:
    """Compares stores, topics, read models and claims; exit code 1 when anything is wrong."""
    found = violations(asyncio.run(_evidence(history)))
    for invariant in INVARIANTS:
        broken = [each.what for each in found if each.invariant == invariant]
        sys.stdout.write(f"{invariant}: {'; '.join(broken) or 'holds'}\n")
    sys.exit(bool(found))


async def _evidence(history: Path | None) -> Evidence:
    environments = Stack.here().parts.environments
    await quiet(environments)
    return await gather(environments, commands_of(lines_of(history)) if history else None)


if __name__ == "__main__":
    typer.run(main)
