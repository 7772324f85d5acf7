"""`bayline`: the local stack from the command line."""

import os
import sys
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, NoReturn

import typer

from devstack import (
    audit,
    backup,
    demo,
    disk,
    dlq,
    explain,
    health,
    privacy,
    projections,
    restore,
    show,
    streams,
    tenants,
    topics,
)
from devstack.failure import StackFailure
from devstack.log_files import follow, merged
from devstack.private_files import UMASK
from devstack.signals import told_to_end
from devstack.stack import Stack
from devstack.supervisor import Supervisor
from devstack.systemd import unit
from devstack.tokens import EVERY_SITE, ROLES, Person, Signer
from devstack.topology import AUDIENCE
from kernel.clock import SystemClock
from kernel.ids import Uuid7

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def up(
    fresh: Annotated[bool, typer.Option(help="Erase all data of this stack first.")] = False,
) -> None:
    """Start what does not run, and wait until all of it is ready."""
    stack = Stack.here()
    with show.working("starting"):
        started = stack.up(show.step, fresh=fresh)
    show.addresses(stack.states(), already=not started)


@app.command()
def down() -> None:
    """Stop what `up` has started, and nothing else. Data stays."""
    with show.working("stopping"):
        ran = Stack.here().down(show.step)
    if not ran:
        show.line("Nothing runs.")


@app.command()
def supervise(
    systemd: Annotated[bool, typer.Option(help="Print a unit for systemd that does it.")] = False,
) -> None:
    """Start the stack and keep it: in the foreground, until SIGTERM or Ctrl-C stops all of it.

    What ends is started again, after a pause that grows to a minute. What was stopped by a signal
    is continued after a minute; a service that does not answer for so long is started again. Logs
    are rotated. Each thing is said once.
    """
    stack = Stack.here()
    if systemd:
        show.line(unit(stack.parts), plain=True)
    else:
        Supervisor(stack, show.dated).run(told_to_end())


@app.command()
def status(as_json: AsJson = False) -> None:
    """What is wrong and what to do; what runs, how far each consumer is. Exit code 1 if anything is wrong.

    Wrong is what does not run or is not ready, who halted, what is parked, a rebuild that is
    needed, and a disk that is nearly full.
    """
    found = health.examined(Stack.here())
    if as_json:
        show.json(asdict(found))
    else:
        show.wrong(found.wrong)
        show.processes(found.processes)
        show.progress(found.consumers)
    if found.wrong:
        raise typer.Exit(1)


@app.command()
def logs(
    names: Annotated[
        list[str] | None, typer.Argument(help="Of which processes; all if none.")
    ] = None,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="From the end of each.")] = 20,
) -> None:
    """What the processes wrote."""
    stack = Stack.here()
    known = [component.name for component in stack.parts.all()]
    files = {name: stack.parts.log(_one_of(name, known)) for name in names or known}
    show.lines(merged(files, lines))
    if following:
        show.lines(follow(files))


@app.command()
def token(
    *,
    tenant: Annotated[str, typer.Option(help="Whose data: one tenant.")],
    role: Annotated[list[str], typer.Option(help=f"One or more of {', '.join(ROLES)}.")],
    site: Annotated[list[str] | None, typer.Option(help="Site ids; every site if none.")] = None,
    subject: Annotated[
        str, typer.Option(help="The user's id; made of tenant and role if none.")
    ] = "",
    technician: Annotated[str, typer.Option(help="Technician id, for a technician.")] = "",
    ttl: Annotated[int, typer.Option(min=1, help="Seconds until it expires.")] = 8 * 3600,
) -> None:
    """A signed access token, for `Authorization: Bearer`."""
    roles = [_one_of(name, ROLES) for name in role]
    person = Person(tenant, roles, site or [EVERY_SITE], subject, technician)
    environments = Stack.here().parts.environments
    signer = Signer(environments.issuer, environments.secrets.signing_key(), SystemClock(), Uuid7())
    show.line(
        signer.sign(person.claims(), audience=AUDIENCE, ttl=timedelta(seconds=ttl)), plain=True
    )


app.command()(demo.demo)
app.command()(tenants.tenants)
app.command()(topics.topics)
app.command()(explain.explain)
app.command()(backup.backup)
app.command()(restore.restore)
app.add_typer(audit.app, name="audit")
app.add_typer(dlq.app, name="dlq")
app.add_typer(privacy.app, name="privacy")
app.add_typer(projections.app, name="projections")
app.add_typer(streams.app, name="streams")


def _one_of(name: str, known: tuple[str, ...] | list[str]) -> str:
    if name not in known:
        raise StackFailure(f"there is no {name}", hint=f"it is one of: {', '.join(known)}")
    return name


def _fail(failure: StackFailure) -> NoReturn:
    show.failure(failure)
    sys.exit(1)


def main() -> None:
    os.umask(UMASK)  # also of exports, which are full of a tenant's data
    try:
        app()
    except StackFailure as failure:
        _fail(failure)
    except OSError as error:
        if error.errno not in disk.FULL:
            raise
        _fail(disk.full(error, Stack.home()))
    except KeyboardInterrupt:
        sys.exit(130)
