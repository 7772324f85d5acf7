"""`bayline restore`: a backup into a stopped stack. What was published before is published anew."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from devstack import databases, erasures, show, topology
from devstack.backup import FORMAT, KEYS, MANIFEST, Manifest, checksum, dump_file, fingerprint
from devstack.environments import Environments
from devstack.erasures import Erasure
from devstack.failure import StackFailure
from devstack.postgres import Server, binary
from devstack.processes import run
from devstack.snapshots import DATABASES, STORES
from devstack.stack import Say, Stack
from kernel.clock import SystemClock

READ_ANEW = """
UPDATE consumer.cursor SET kafka_offset = -1;
UPDATE consumer.parked SET relayed_at = NULL"""


def restore(
    folder: Annotated[Path, typer.Argument(help="What `bayline backup` has made.")],
    *,
    erased: Annotated[
        Path | None,
        typer.Option(help="Who was forgotten: kept from `bayline privacy list --json`."),
    ] = None,
    none_erased: Annotated[
        bool, typer.Option("--none-erased", help="Nobody was forgotten since the backup.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Replace all data of this stack by a backup's. Every store gets a new epoch.

    Whoever was forgotten since the backup is forgotten again, before anything else starts: as
    this stack's own keyring knows it, and as a list says that was kept elsewhere.

    Consumers halt on the new epoch: start the stack, and once you know that the backup is what
    you want, let them go on by `bayline projections resume --epoch E`.
    """
    stack, manifest = Stack.here(), _checked(folder)
    _check_stopped(stack)
    keys = _keys(folder, manifest, stack.parts.environments)
    listed = erasures.written(erased) if erased else []
    say = show.silence if as_json else show.step
    stack.start("postgres", say)
    known = _known_here(stack, say, told=none_erased or erased is not None)
    stack.parts.environments.secrets.adopt(keys)
    epochs = _forgetting(stack, folder, [*listed, *known], say)
    if as_json:
        show.json({"taken_at": manifest.taken_at, "events": manifest.events, "epochs": epochs})
    else:
        show.restored(sum(manifest.events.values()), manifest.taken_at, epochs)


def _check_stopped(stack: Stack) -> None:
    if running := stack.running():
        raise StackFailure(
            f"{', '.join(running)} still run", hint="stop them first: `bayline down`"
        )


def _checked(folder: Path) -> Manifest:
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise StackFailure(f"{folder} holds no backup: {error}") from error
    if manifest.format != FORMAT:
        raise StackFailure(f"{folder} has format {manifest.format}, this release reads {FORMAT}")
    for name, expected in manifest.files.items():
        file = folder / name
        if not file.exists() or checksum(file) != expected:
            raise StackFailure(f"{file} is missing, or not what the backup wrote")
    return manifest


def _keys(folder: Path, manifest: Manifest, environments: Environments) -> dict[str, str]:
    """The backup's, else this stack's own: either way the one that sealed its persons is there."""
    kept = folder / KEYS
    keys = json.loads(kept.read_text()) if kept.exists() else environments.secrets.keys()
    if fingerprint(keys.get("key/kek", "")) != manifest.kek:
        raise StackFailure(
            "this stack has another key than the one that sealed the backup's persons",
            hint="restore a backup made with --with-keys, or put back the old secrets.json",
        )
    return dict(keys)


def _known_here(stack: Stack, say: Say, *, told: bool) -> list[Erasure]:
    """Whom this stack's keyring forgot, and whom a restore had in hand that was cut off."""
    kept, server = _in_hand(stack), stack.parts.environments.postgres
    unfinished = erasures.written(kept) if kept.exists() else []
    with psycopg.connect(server.dsn(topology.KEYRING.name)) as keyring:
        if told or kept.exists() or erasures.knows_anybody(keyring):
            return [*unfinished, *erasures.recorded(keyring)]
    stack.down(say)
    raise StackFailure(
        "this stack cannot know who was forgotten since the backup was made",
        hint="say it: --erased FILE, as `bayline privacy list --json` printed it there, "
        "or --none-erased",
    )


def _forgetting(
    stack: Stack, folder: Path, forgotten: Sequence[Erasure], say: Say
) -> dict[str, str]:
    """A restore that is cut off is begun again, and still knows them."""
    _in_hand(stack).write_text(json.dumps(erasures.document(forgotten)))
    epochs = _replaced(stack, folder, forgotten, say)
    _in_hand(stack).unlink()
    return epochs


def _in_hand(stack: Stack) -> Path:
    return stack.parts.home / "erased.json"


def _replaced(stack: Stack, folder: Path, forgotten: Sequence[Erasure], say: Say) -> dict[str, str]:
    """All databases as in the backup, and the topics empty. Returns the stores' new epochs."""
    server = stack.parts.environments.postgres
    shutil.rmtree(stack.parts.broker().folder, ignore_errors=True)
    for database in DATABASES:
        _replace(stack.parts.environments, folder, database)
        say(database, "restored")
    _lay_aside(stack.parts.anchor(), say)
    stack.start("postgres", say)
    with psycopg.connect(server.dsn(topology.KEYRING.name)) as keyring:
        for erasure in erasures.apply(keyring, forgotten):
            say(topology.KEYRING.name, f"{erasure.subject} is forgotten again")
    for service in topology.STORING:
        _forget_topics(server, service.name)
    return {service: _renewed(server, service) for service in STORES}


def _replace(environments: Environments, folder: Path, database: str) -> None:
    server = environments.postgres
    databases.drop(server, database)
    databases.prepare(server, database, environments.passwords(database))
    argv = (
        str(binary("pg_restore")),
        "--exit-on-error",
        f"--dbname={server.public_dsn(database)}",
        str(dump_file(folder, database)),
    )
    done = run(argv, env=server.login())
    if done.returncode != 0:
        raise StackFailure(f"pg_restore of {database} failed: {done.stderr.strip()}")


def _lay_aside(anchor: Path, say: Say) -> None:
    """Checkpoints of what is replaced now: kept, and no longer those of the log that is."""
    if anchor.exists():
        kept = anchor.with_name(f"before-restore-{SystemClock().now():%Y%m%dT%H%M%SZ}.ndjson")
        anchor.rename(kept)
        say("audit", f"the checkpoints signed so far are now in {kept}")


def _forget_topics(server: Server, service: str) -> None:
    """They are empty: whoever knows a place in them forgets it.

    So each consumer meets the new epoch as soon as it runs, and not at some later event.
    """
    with psycopg.connect(server.dsn(service)) as connection:
        connection.execute(READ_ANEW)


def _renewed(server: Server, service: str) -> str:
    """A new epoch, and a relay that begins at the first event again."""
    with psycopg.connect(server.dsn(service)) as connection:
        connection.execute("UPDATE es.relay_cursor SET pos = 0")
        row = connection.execute("SELECT es.next_epoch()").fetchone()
    return str(row[0]) if row else ""
