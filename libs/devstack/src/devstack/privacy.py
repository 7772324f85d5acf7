"""`bayline privacy`: forgetting a person or the words of a job, and who was forgotten."""

import asyncio
import getpass
from typing import Annotated, Any

import aiohttp
import psycopg
import typer
from rich.table import Table

from devstack import erasures, show, topology
from devstack.api import Refused, caller
from devstack.erasures import Erasure
from devstack.failure import StackFailure
from devstack.stack import Stack
from devstack.tokens import Person
from kernel.ids import Uuid7

app = typer.Typer(no_args_is_help=True, help="Forget a person, or the words of a job. For ever.")

Tenant = Annotated[str, typer.Option(help="Whose person or job.")]
Reference = Annotated[
    str, typer.Option(help="Where the request is kept: a ticket's number, never words. Stays.")
]
Who = Annotated[str, typer.Option("--by", help="Who decides; kept.", default_factory=getpass.getuser)]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def erase(
    person: Annotated[str, typer.Argument(help="technicians/<id>")],
    by: Who,
    tenant: Tenant,
    reference: Reference = "",
    as_json: AsJson = False,
) -> None:
    r"""Destroy a person's key: name and words about him or her read `\[erased]`, wherever they are.

    Takes no notice of backups made before: see docs/runbooks/erasure.md.
    """
    _forget(_named(person, "technicians"), "erase", by, tenant, reference, as_json)


@app.command()
def redact(
    job: Annotated[str, typer.Argument(help="jobs/<id>")],
    by: Who,
    tenant: Tenant,
    reference: Reference = "",
    as_json: AsJson = False,
) -> None:
    """Destroy the key of a job's free text. What was done, when and for how much stays.

    Nothing can be said of the job in free text afterwards: best done when it is closed.
    """
    _forget(_named(job, "jobs"), "redact", by, tenant, reference, as_json)


@app.command("list")
def list_erasures(as_json: AsJson = False) -> None:
    """Who was forgotten, of all tenants. With --json: what `bayline restore --erased` takes."""
    server = Stack.here().parts.environments.postgres
    try:
        with psycopg.connect(server.dsn(topology.KEYRING.name), connect_timeout=3) as connection:
            found = erasures.recorded(connection)
    except psycopg.OperationalError as error:
        raise StackFailure(
            f"the keyring does not answer: {error}", hint="start it: `bayline up`"
        ) from error
    if as_json:
        show.json(erasures.document(found))
    else:
        _show(found)


def _forget(name: str, verb: str, by: str, tenant: str, reference: str, as_json: bool) -> None:
    body = {"reference": reference} if reference else {}
    subject = asyncio.run(
        _posted(f"/v1/{name}:{verb}", body, Person(tenant, ["admin"], subject=by))
    )
    if as_json:
        show.json(subject)
        return
    show.step(name, "its key is destroyed; whoever has it in memory drops it within a minute")
    show.line(show.runnable("Keep `bayline privacy list --json` with your backups, for a restore."))


async def _posted(path: str, body: dict[str, str], person: Person) -> Any:
    async with aiohttp.ClientSession() as session:
        try:
            return await caller(session, Stack.here(), person).post(
                path, body, key=str(Uuid7().new())
            )
        except Refused as refusal:
            raise StackFailure(str(refusal), hint=str(refusal.problem.get("type", ""))) from refusal


def _named(name: str, collection: str) -> str:
    """The whole name or the bare id: nobody is erased by a name of another kind."""
    found = name if "/" in name else f"{collection}/{name}"
    if not found.startswith(f"{collection}/"):
        raise StackFailure(f"{name} is none of {collection}", hint=f"name it {collection}/<id>")
    return found


def _show(found: list[Erasure]) -> None:
    if not found:
        show.line("Nobody was forgotten.")
        return
    table = Table()
    for column in ("tenant", "subject", "at", "by", "reference"):
        table.add_column(column, overflow="fold")
    for each in found:
        table.add_row(each.tenant, each.subject, each.at, each.by, each.reference)
    show.console.print(table)
