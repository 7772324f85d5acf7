"""`bayline projections`: how far consumers are, and their read models built anew."""

import getpass
import sys
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from devstack import consumers, show, topology
from devstack.consumers import Progress, Second
from devstack.failure import StackFailure
from devstack.pools import on
from devstack.processes import Program, exit_code, spawn, stop
from devstack.stack import Stack
from messaging import generations
from messaging.cursor import Pool
from messaging.generations import NotPossible
from messaging.status import NotHalted, NothingToClear, accept, resume
from messaging.status import clear as see_to

app = typer.Typer(no_args_is_help=True, help="How far consumers are; rebuild what they project.")

POLL_SECONDS = 0.5
SEE = "see `bayline projections status`"

AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
Name = Annotated[str, typer.Argument(help="Of the projection, as `status` shows it.")]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Lag, parked streams, whether a rebuild is needed, and how far one is."""
    lines = _progress()
    if as_json:
        show.json([asdict(line) for line in lines])
    else:
        show.progress(lines)
        show.reasons(lines)


@app.command("resume")
def resume_halted(
    names: Annotated[list[str] | None, typer.Argument(help="Which consumers; all if none.")] = None,
    *,
    epoch: Annotated[
        str, typer.Option(help="The store's new epoch, as `restore` or `status` says it.")
    ],
    as_json: AsJson = False,
) -> None:
    """Let consumers go on under a store's new epoch, once somebody knows why it is new.

    Those that halted on it, and those that have yet to meet it. Each first reads the store from
    where it stands, and halts again unless the store holds what it read last.
    """
    done = sorted({*_resumed(names, epoch), *_accepted(names, epoch)})
    if not done and (names or epoch not in _epochs()):
        raise StackFailure(f"no such consumer waits at epoch {epoch}", hint=SEE)
    if as_json:
        show.json(done)
    else:
        show.facts([(name, "goes on") for name in done] or [("nobody", "waits at this epoch")])


@app.command()
def rebuild(
    name: Name,
    rate: Annotated[
        int, typer.Option(min=0, help="Events a second at most; 0: all that goes.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Build a read model anew beside the live one, and compare the two. Nothing that is read changes.

    Broken off or killed, it goes on when it is asked for again. Exit code 1 if rows differ.
    """
    _one(name)
    parts = Stack.here().parts
    service = topology.service(name.partition(".")[0])
    argv = (sys.executable, "-m", "assembly.rebuild", service.name, name, f"--rate={rate}")
    program = Program("rebuild", argv, parts.log("rebuild"), parts.environments.of(service))
    _finished(name, program)
    built = _second(name)
    if as_json:
        show.json(asdict(built))
    else:
        show.step(name, show.second(built))
    if built.differing:
        raise typer.Exit(1)


@app.command()
def swap(
    name: Name,
    differing: Annotated[
        bool, typer.Option(help="Though rows differ: the reason for the rebuild, say.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have requests read the generation that was built. The other one follows, for `rollback`.

    Of a halted consumer, whose read model can no longer be true, the old one is dropped; it goes on
    from the new one.
    """
    line, second = _one(name), _second(name)
    _check_comparison(line, second, differing)
    step = generations.replace if line.state == "halted" else generations.swap
    _change(name, step, "is read now", as_json)


@app.command()
def rollback(name: Name, as_json: AsJson = False) -> None:
    """Have requests read the earlier generation again: it has followed, and lacks nothing."""
    line, second = _one(name), _second(name)
    if second.state != "following" or second.number > line.generation:
        raise StackFailure(f"{name} has no earlier generation", hint=SEE)
    _change(name, generations.swap, "is read again", as_json)


@app.command()
def retire(name: Name, as_json: AsJson = False) -> None:
    """Drop the generation that is not read: the earlier one, or an unfinished or unwanted build."""
    _second(name)
    _change(name, generations.retire, "is gone", as_json)


@app.command()
def clear(
    name: Annotated[str, typer.Argument(help="Of the consumer, as `status` shows it.")],
    by: Annotated[
        str, typer.Option("--by", help="Who decides; kept.", default_factory=getpass.getuser)
    ],
    reason: Annotated[str, typer.Option(help="What was done about them; kept.")],
    as_json: AsJson = False,
) -> None:
    """Say that what a reaction passed over was seen to: it has no read model to build anew."""
    if not (reason.strip() and by.strip()):
        raise StackFailure("say who has seen to it, and how", hint="--reason, --by")
    service = name.partition(".")[0]
    if service not in {each.name for each in topology.STORING}:
        raise StackFailure(f"there is no consumer {name}", hint=SEE)
    try:
        events = on(service, lambda pool: see_to(pool, name, who=by, reason=reason))
    except NothingToClear as error:
        raise StackFailure(str(error), hint=SEE) from error
    if as_json:
        show.json({"name": name, "events": events, "cleared_by": by, "reason": reason})
    else:
        show.step(name, f"{events} events that were passed over are seen to, says {by}")


def _check_comparison(line: Progress, second: Second, differing: bool) -> None:
    if line.state == "halted":
        return
    if not second.compared:
        raise StackFailure(
            f"generation {second.number} was not compared yet",
            hint=f"finish it: `bayline projections rebuild {line.name}`",
        )
    if second.differing and not differing:
        raise StackFailure(
            f"{second.differing} of {second.rows} rows differ from those that are read",
            hint="if that is what the rebuild was for: `--differing`",
        )


def _change(
    name: str, step: Callable[[Pool, str], Awaitable[int]], done: str, as_json: bool
) -> None:
    try:
        number = on(name.partition(".")[0], lambda pool: step(pool, name))
    except NotPossible as error:
        raise StackFailure(str(error), hint=SEE) from error
    if as_json:
        show.json({"name": name, "generation": number})
    else:
        show.step(name, f"generation {number} {done}")


def _finished(name: str, program: Program) -> None:
    """Says how far it is until it is done."""
    running = spawn(program, dies_with_parent=True)
    try:
        with show.console.status(f"{name} ...") as spinner:
            while exit_code(running, POLL_SECONDS) is None:
                if show.console.is_terminal and (now := _one(name).second) is not None:
                    spinner.update(f"{name} {show.second(now)}")
    finally:
        code = exit_code(running)
        stop(running)
    if code:
        raise StackFailure(
            f"the rebuild of {name} ended with {code}; asked for again, it goes on where it was",
            log=program.log,
        )


def _one(name: str) -> Progress:
    found = {line.name: line for line in _progress() if line.generation}
    if name not in found:
        known = ", ".join(sorted(found))
        raise StackFailure(f"there is no read model {name}", hint=f"there are: {known}")
    return found[name]


def _second(name: str) -> Second:
    second = _one(name).second
    if second is None:
        raise StackFailure(
            f"{name} has one generation only",
            hint=f"build one: `bayline projections rebuild {name}`",
        )
    return second


def _progress() -> list[Progress]:
    with consumers.stores(Stack.here().parts.environments.postgres) as found:
        return consumers.progress(found)


def _resumed(names: Collection[str] | None, epoch: str) -> list[str]:
    """Those that halted on it."""
    halted = [line for line in _progress() if line.state == "halted" and line.epoch == epoch]
    chosen = [line for line in halted if not names or line.name in names]
    for line in chosen:
        on(line.service, partial(_resume, name=line.name, epoch=epoch))
    return [line.name for line in chosen]


async def _resume(pool: Pool, name: str, epoch: str) -> None:
    try:
        await resume(pool, name, epoch)
    except NotHalted as error:
        raise StackFailure(str(error)) from error


def _epochs() -> Collection[str]:
    with consumers.stores(Stack.here().parts.environments.postgres) as found:
        return consumers.epochs(found).values()


def _accepted(names: Collection[str] | None, epoch: str) -> list[str]:
    """Those that would halt on it: so who reads several logs is told of each just once."""
    with consumers.stores(Stack.here().parts.environments.postgres) as found:
        waiting = consumers.unaware(found, epoch)
    chosen = [each for each in waiting if not names or each.name in names]
    for each in chosen:
        on(each.service, partial(accept, name=each.name, log=each.log, epoch=epoch))
    return [each.name for each in chosen]
