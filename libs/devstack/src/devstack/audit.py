"""`bayline audit`: what was recorded is what is there, checked by whoever does not believe us."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import aiohttp
import grpc
import psycopg
import typer
from aiokafka.errors import KafkaError

from assembly.topics import logs, owner_of
from audit.adapters import files, stores
from audit.adapters.anchors import AnchorUnreadable, kept_in, kept_on_topic
from audit.adapters.keys import Ed25519Signer, Ed25519Verifier
from audit.adapters.verifier import tenants_of, verify_stored
from audit.application.proving import Proof, ProofRefused, check_growth, check_proof
from audit.application.tiles import EntryTooLarge
from audit.application.verifying import Kept, Report
from audit.domain.checkpoint import NoteWrong
from audit.domain.record import RecordUnreadable
from devstack import show, topology
from devstack.api import Refused, caller
from devstack.environments import LOG_NAME
from devstack.failure import StackFailure
from devstack.ports import HOST
from devstack.rounds import Rounds, interval, served
from devstack.signals import told_to_end
from devstack.stack import Stack
from devstack.tokens import Person
from kernel.errors import Unavailable
from runtime.grpc import channel
from runtime.settings import Workload
from runtime.workload import WorkloadTokens

app = typer.Typer(no_args_is_help=True, help="The transparency log: prove, verify, reconcile.")

MOST_SHOWN = 20

AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
Tenant = Annotated[str, typer.Option(help="Whose log.")]
Key = Annotated[
    str, typer.Option("--key", help="Verifier key, or a file with it; this stack's if none.")
]
Anchors = Annotated[
    list[Path] | None,
    typer.Option("--anchor", help="Files of checkpoints kept elsewhere; this stack's if none."),
]


@app.command()
def key() -> None:
    """The public key that verifies checkpoints. Keep it apart from the log."""
    show.line(_own_verifier().line, plain=True)


@app.command()
def verify(
    *,
    tenant: Annotated[list[str] | None, typer.Option(help="Whose log; all if none.")] = None,
    dsn: Annotated[str, typer.Option(help="Of the audit database; this stack's if none.")] = "",
    folder: Annotated[
        Path | None, typer.Option("--export", help="An exported log instead: needs no server.")
    ] = None,
    anchor: Anchors = None,
    given_key: Key = "",
    as_json: AsJson = False,
    every: Annotated[
        str, typer.Option(help="Again and again, such as every 1h, until something is wrong.")
    ] = "",
    port: Annotated[
        int, typer.Option(help="Of the metric that --every serves; this stack's if none.")
    ] = 0,
) -> None:
    """Recompute everything. Exit code 1, and the first bad record, unless all of it holds.

    With --every it runs until it is told to end, and serves on /metrics how long ago all of it
    held; a database that is away is asked again, and something wrong ends it.
    """
    verifier = _verifier(given_key)

    def holds() -> bool:
        anchors = _kept(anchor, offline=bool(dsn or folder))
        reports = _reports(folder, dsn, tenant, anchors, verifier)
        _tell(reports, as_json=as_json)
        return not any(report.findings for report in reports.values())

    if not (_again_and_again(holds, every, port) if every else holds()):
        raise typer.Exit(1)


def _again_and_again(holds: Callable[[], bool], every: str, port: int) -> bool:
    rounds = Rounds(holds, interval(every), lambda text: show.dated("audit", text))
    own = topology.AUDIT_JOB_PORT + Stack.here().parts.environments.offset
    show.dated(
        "audit", f"verified every {every}; see http://{HOST}:{served(rounds, port or own)}/metrics"
    )
    return rounds.run(told_to_end())


def _reports(
    folder: Path | None,
    dsn: str,
    tenant: Sequence[str] | None,
    anchors: Sequence[tuple[str, Kept]],
    verifier: Ed25519Verifier,
) -> Mapping[str, Report]:
    if folder:
        return {str(folder): _exported(folder, anchors, verifier)}
    with _answering("the audit database"):
        return _stored(dsn or _own_dsn(), tenant, anchors, verifier)


def _tell(reports: Mapping[str, Report], *, as_json: bool) -> None:
    if as_json:
        show.json({name: _document(report) for name, report in reports.items()})
        return
    for name, report in reports.items():
        _show(name, report)


@app.command()
def prove(
    event: Annotated[UUID, typer.Argument(help="Id of the event.")], tenant: Tenant = "acme"
) -> None:
    """A record with its proof, as JSON: to be given away and verified by `verify-proof`."""
    show.json(_asked(tenant, lambda api: api.get(f"/v1/auditRecords/{event}")))


@app.command(name="verify-proof")
def verify_proof(
    file: Annotated[Path, typer.Argument(help="What `prove` or the API has answered.")],
    given_key: Key = "",
) -> None:
    """Check a proof with nothing but the public key. Exit code 1 if it proves nothing."""
    try:
        found, checkpoint = check_proof(_proof(json.loads(file.read_text())), _verifier(given_key))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackFailure(f"{file} is no proof: {error!r}") from error
    except ProofRefused as error:
        raise StackFailure(f"this proves nothing: {error}") from error
    event = UUID(bytes=found.place.event_id)
    kind = found.header("ce_type").decode()
    show.line(f"proved: event {event}, {kind}, is in {checkpoint.origin} of {checkpoint.size}")


@app.command()
def consistency(
    *,
    saved: Annotated[Path, typer.Option("--from", help="A checkpoint you have kept: a note.")],
    tenant: Tenant = "acme",
    given_key: Key = "",
) -> None:
    """That the log of now begins with the one you have a checkpoint of. Exit code 1 if not."""
    note, verifier = _note(saved), _verifier(given_key)
    size = _line(note, 1)
    path = "/v1/auditLog:proveConsistency"
    answer = _asked(tenant, lambda api: api.get(path, size=size))
    try:
        hashes = [base64.b64decode(each) for each in answer.get("proof", ())]
        first, second = check_growth(note, answer["checkpoint"]["note"], hashes, verifier)
    except ProofRefused as error:
        raise StackFailure(f"the log does not continue your checkpoint: {error}") from error
    show.line(f"proved: the {first.size} records of {first.origin} begin its {second.size}")


@app.command()
def reconcile(as_json: AsJson = False) -> None:
    """Compare with the hash chains of the stores. Exit code 1 where they differ."""
    with _answering("a store or the audit database"):
        found = asyncio.run(_reconciled())
    if as_json:
        show.json([asdict(each) for each in found])
    else:
        for each in found:
            show.step(each.log, f"{each.events} events, {each.behind} not audited yet")
            for shard, wrong in each.differences.items():
                for difference in wrong[:MOST_SHOWN]:
                    show.line(f"  [red]shard {shard}, pos {difference.pos}[/]: {difference.what}")
    if any(each.differences for each in found):
        raise typer.Exit(1)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to; must not exist yet.")],
    tenant: Tenant = "acme",
    dsn: Annotated[str, typer.Option(help="Of the audit database; this stack's if none.")] = "",
) -> None:
    """Write a log as files that other transparency tools read (C2SP tlog-tiles)."""
    if folder.exists():
        raise StackFailure(f"{folder} exists already", hint="name a folder that does not")
    try:
        with _answering("the audit database"):
            size = files.export(dsn or _own_dsn(), tenant, folder)
    except EntryTooLarge as error:
        raise StackFailure(f"{error}, which this form has no place for") from error
    if not size:
        raise StackFailure(f"nothing of {tenant} is signed yet")
    show.line(f"{size} records: verify them by `bayline audit verify --export {folder}`")


def _stored(
    dsn: str,
    chosen: Sequence[str] | None,
    anchors: Sequence[tuple[str, Kept]],
    verifier: Ed25519Verifier,
) -> dict[str, Report]:
    """A tenant of whom nothing but an anchor is left is verified too, one never heard of is not."""
    known = {*tenants_of(dsn), *(tenant for tenant, _ in anchors)}
    wanted = sorted(chosen or known)
    if not wanted or set(wanted) - known:
        strangers = ", ".join(sorted(set(wanted) - known)) or "anybody"
        raise StackFailure(
            f"nothing was ever recorded of {strangers}",
            hint=f"there is: {', '.join(sorted(known)) or 'nothing yet'}",
        )
    return {
        tenant: verify_stored(dsn, tenant, [kept for of, kept in anchors if of == tenant], verifier)
        for tenant in wanted
    }


def _exported(
    folder: Path, anchors: Sequence[tuple[str, Kept]], verifier: Ed25519Verifier
) -> Report:
    try:
        return files.verify_exported(folder, anchors, verifier)
    except (OSError, ValueError, LookupError, NoteWrong, RecordUnreadable) as error:
        raise StackFailure(f"{folder} is no exported log: {error}") from error


def _kept(given: Sequence[Path] | None, *, offline: bool) -> list[tuple[str, Kept]]:
    """Of the files given; else of this stack's own file and topic."""
    stack = Stack.here()
    own = stack.parts.anchor()
    chosen = given if given is not None else [own] if own.exists() and not offline else []
    try:
        kept = [each for file in chosen for each in kept_in(file)]
    except (OSError, AnchorUnreadable) as error:
        raise StackFailure(f"the checkpoints cannot be read: {error}") from error
    if not offline and "kafka" in stack.running():
        with _answering("Kafka"):
            kept += asyncio.run(kept_on_topic(stack.parts.environments.kafka))
    return kept


@contextmanager
def _answering(what: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, grpc.RpcError, KafkaError, Unavailable) as error:
        raise StackFailure(
            f"{what} does not answer: {error}", hint="is it up? `bayline status`"
        ) from error
    except psycopg.errors.UndefinedTable as error:
        raise StackFailure(f"this is no audit database: {error}") from error


def _document(report: Report) -> Mapping[str, Any]:
    findings = [asdict(finding) for finding in report.findings]
    root = base64.b64encode(report.root).decode()
    counted = {"records": report.size, "checkpoints": report.checkpoints}
    return {**counted, "root": root, "findings": findings}


def _show(name: str, report: Report) -> None:
    if not report.findings:
        root = base64.b64encode(report.root).decode()
        counted = f"{report.size} records and {report.checkpoints} checkpoints hold"
        show.step(name, f"{counted}; root {root}")
        return
    show.step(name, f"NOT AS IT WAS SIGNED; the first bad record is {report.findings[0].seq}")
    for finding in report.findings[:MOST_SHOWN]:
        show.line(f"  [red]record {finding.seq}[/]: {finding.what}")
    if (more := len(report.findings) - MOST_SHOWN) > 0:
        show.line(f"  and {more} more")


def _proof(document: Mapping[str, Any]) -> Proof:
    """As protobuf JSON writes it: what is zero or empty is left out."""
    return Proof(
        record=base64.b64decode(document["record"]["record"]),
        index=int(document["record"].get("index", 0)),
        hashes=[base64.b64decode(each) for each in document.get("proof", ())],
        note=document["checkpoint"]["note"],
    )


def _verifier(given: str) -> Ed25519Verifier:
    if not given:
        return _own_verifier()
    try:
        line = Path(given).read_text() if Path(given).exists() else given
        return Ed25519Verifier.read(line)
    except NoteWrong as error:
        raise StackFailure(f"{given} is no verifier key: {error}") from error


def _own_verifier() -> Ed25519Verifier:
    seed = base64.b64decode(Stack.here().parts.environments.secrets.key("audit"))
    return Ed25519Signer(LOG_NAME, seed).verifier()


def _own_dsn() -> str:
    return Stack.here().parts.environments.postgres.dsn(topology.AUDIT.name)


def _note(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise StackFailure(f"{file} cannot be read: {error}") from error


def _line(note: str, number: int) -> str:
    lines = note.splitlines()
    if len(lines) <= number:
        raise StackFailure("this is no checkpoint", hint="the note of `GET /v1/auditLog` is one")
    return lines[number]


async def _reconciled() -> list[stores.Reconciled]:
    stack = Stack.here()
    if topology.AUDIT.name not in stack.running():
        raise StackFailure("the stack does not run", hint="start it: `bayline up`")
    environments = stack.parts.environments
    async with aiohttp.ClientSession() as session:
        tokens = WorkloadTokens(_workload(environments.of(topology.AUDIT)), session)
        found = []
        for log in logs():
            port = topology.service(owner_of(log)).port + environments.offset
            async with channel(f"{HOST}:{port}", tokens) as opened:
                found.append(await stores.reconcile(_own_dsn(), opened, log))
    return found


def _workload(environment: Mapping[str, str]) -> Workload:
    """As the audit service proves itself."""
    names = ("token_url", "client_id", "client_secret")
    values = {name: environment[f"AUDIT__WORKLOAD__{name.upper()}"] for name in names}
    return Workload.model_validate(values)


def _asked(tenant: str, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        async with aiohttp.ClientSession() as session:
            return await ask(caller(session, Stack.here(), Person(tenant, ["auditor"])))

    try:
        return asyncio.run(asked())
    except Refused as refusal:
        raise StackFailure(str(refusal), hint=str(refusal.problem.get("type", ""))) from refusal
