"""What is wrong with a stack now, and what to do about it: `bayline status`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from devstack import consumers, disk
from devstack.consumers import Progress
from devstack.failure import StackFailure
from devstack.stack import Stack, State

ALIVE = ("ready", "not ready")
LOOK = "`bayline logs postgres`"
DEAD = {"down": "does not run", "ended": "has ended", "stopped": "was stopped by a signal"}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that somebody must look at: `what` it is, what to `do`."""

    name: str
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Health:
    processes: Sequence[State]
    consumers: Sequence[Progress]
    wrong: Sequence[Wrong]


def examined(stack: Stack) -> Health:
    states = {state.name: state for state in stack.states()}
    lines, unread = _progress(stack, states)
    wrong = [*_disks(stack), *_processes(states), *unread, *of_consumers(lines)]
    return Health(list(states.values()), lines, wrong)


def _progress(stack: Stack, states: Mapping[str, State]) -> tuple[list[Progress], list[Wrong]]:
    """What the databases say of each consumer, corrected by whether its process lives at all."""
    if states["postgres"].state != "ready":
        return [], []
    try:
        with consumers.stores(stack.parts.environments.postgres) as found:
            lines = consumers.progress(found)
    except StackFailure as failure:
        return [], [Wrong("postgres", failure.message, failure.hint)]
    except psycopg.Error as error:
        return [], [Wrong("postgres", f"says not how far consumers are: {error}", LOOK)]
    return [of_process(line, states[line.service]) for line in lines], []


def of_process(line: Progress, process: State) -> Progress:
    """Nobody runs in a process that does not: what it last wrote of itself is no longer so."""
    if process.state in ALIVE:
        return line
    before = f"; before, it was {line.state}: {line.reason}" if line.state != "running" else ""
    reason = f"its process {process.name} {DEAD[process.state]}{before}"
    return replace(line, state=process.state, reason=reason)


def _disks(stack: Stack) -> Iterator[Wrong]:
    for left in disk.short(stack.parts.folders()).values():
        yield Wrong("disk", left, disk.HINT)


def _processes(states: Mapping[str, State]) -> Iterator[Wrong]:
    if all(state.state == "down" for state in states.values()):
        yield Wrong("stack", "nothing runs", "`bayline up` starts it")
        return
    for name, state in states.items():
        if state.state != "ready":
            yield Wrong(name, _said(state), _remedy(state))


def _said(state: State) -> str:
    said = DEAD.get(state.state, "is not ready")
    return f"{said}: {state.complaint}" if state.complaint else said


def _remedy(state: State) -> str:
    match state.state:
        case "stopped":
            return f"`bayline up` continues it; else `kill -9 {state.pid}` and `bayline up`"
        case "not ready":
            return f"`bayline logs {state.name}`: it may still be starting, or wait for another"
        case "ended":
            return f"`bayline up` starts it again; `bayline logs {state.name}` has its last words"
        case _:
            return "`bayline up` starts it"


def of_consumers(lines: Sequence[Progress]) -> Iterator[Wrong]:
    """Those of a process that is gone are wrong by that alone."""
    for line in lines:
        if line.state in ("halted", "held up"):
            yield Wrong(line.name, f"{line.state}: {line.reason}", _how_to_go_on(line))
        if line.parked_streams:
            parked = f"{line.parked_events} events of {line.parked_streams} streams are parked"
            yield Wrong(line.name, parked, "`bayline dlq list`; docs/runbooks/parked-events.md")
        if line.rebuild_needed:
            skipped = f"rebuild needed: {line.rebuild_needed} events were skipped"
            yield Wrong(line.name, skipped, "docs/runbooks/rebuild.md")


def _how_to_go_on(line: Progress) -> str:
    """Whether a new epoch is accepted is not for a command line to suggest."""
    epoch = f"; it met epoch {line.epoch}" if line.epoch else ""
    return f"docs/runbooks/halted-consumer.md{epoch}"
