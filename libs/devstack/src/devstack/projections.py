"""`bayline projections`: what the consumers do, and setting a halted one going again."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer
from psycopg_pool import AsyncConnectionPool

from devstack import consumers, show
from devstack.consumers import Progress
from devstack.failure import StackFailure
from devstack.stack import Stack
from messaging.status import NotHalted, resume

app = typer.Typer(no_args_is_help=True, help="How far consumers are; resume a halted one.")


AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Lag, parked streams, and whether a rebuild is needed."""
    lines = _progress()
    if as_json:
        show.json([asdict(line) for line in lines])
    else:
        show.progress(lines)


@app.command("resume")
def resume_halted(
    names: Annotated[list[str] | None, typer.Argument(help="Which consumers; all if none.")] = None,
    *,
    epoch: Annotated[
        str, typer.Option(help="The epoch they met, as `restore` or `status` says it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Let consumers that halted on a new epoch go on, once somebody knows why it is new.

    Each first reads the store from where it stands, and halts again unless the store holds what
    it read last.
    """
    halted = [line for line in _progress() if line.state == "halted" and line.epoch == epoch]
    chosen = [line for line in halted if not names or line.name in names]
    if not chosen:
        raise StackFailure(
            f"no such consumer is halted on epoch {epoch}", hint="see `bayline projections status`"
        )
    for line in chosen:
        asyncio.run(_resume(line, epoch))
    if as_json:
        show.json([line.name for line in chosen])
    else:
        show.facts((line.name, "goes on") for line in chosen)


def _progress() -> list[Progress]:
    with consumers.stores(Stack.here().parts.environments.postgres) as found:
        return consumers.progress(found)


async def _resume(line: Progress, epoch: str) -> None:
    dsn = Stack.here().parts.environments.postgres.dsn(line.service)
    async with AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False) as pool:
        try:
            await resume(pool, line.name, epoch)
        except NotHalted as error:
            raise StackFailure(str(error)) from error
