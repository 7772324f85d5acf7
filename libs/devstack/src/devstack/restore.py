"""`bayline restore`: a backup into a stopped stack. What was published before is published anew."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from devstack import (
    archives,
    databases,
    erasures,
    postgres,
    private_files,
    processes,
    show,
    topology,
)
from devstack.archives import KEYS, Archive, Manifest, dump_of, sealed
from devstack.backup import KeyFile, fingerprint
from devstack.environments import Environments
from devstack.erasures import Erasure
from devstack.failure import StackFailure
from devstack.passphrases import passphrase
from devstack.postgres import Server, binary
from devstack.snapshots import DATABASES, STORES
from devstack.stack import Say, Stack
from kernel.clock import SystemClock
from runtime import migrate

READ_ANEW = """
UPDATE consumer.cursor SET kafka_offset = -1;
UPDATE consumer.parked SET relayed_at = NULL"""


def restore(
    folder: Annotated[Path, typer.Argument(help="What `bayline backup` has made.")],
    *,
    key_file: KeyFile = None,
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

    The backup is checked first, then restored beside what is there, and put in its place at the
    end: until then a restore that fails has changed nothing.

    Whoever was forgotten since the backup is forgotten again, before anything else starts: as
    this stack's own keyring knows it, and as a list says that was kept elsewhere.

    Consumers halt on the new epoch: start the stack, and once you know that the backup is what
    you want, let them go on by `bayline projections resume --epoch E`.
    """
    stack, place = Stack.here(), folder.expanduser().resolve()
    _check_stopped(stack)
    manifest = archives.manifest_of(place)
    _check_fits(stack, place, manifest)
    archive = archives.checked(place, manifest, passphrase(key_file, place, new=False))
    keys = _keys(archive, manifest, stack.parts.environments)
    listed = erasures.written(erased) if erased else []
    say = show.silence if as_json else show.step
    with _nothing_changed(stack, say):
        stack.start("postgres", say)
        known = _known_here(stack, told=none_erased or erased is not None)
        _draft(stack.parts.environments, archive, say)
    with _half_done(stack, say):
        epochs = _put_in_place(stack, keys, [*listed, *known], say)
    if as_json:
        show.json({"taken_at": manifest.taken_at, "events": manifest.events, "epochs": epochs})
    else:
        show.restored(sum(manifest.events.values()), manifest.taken_at, epochs)


def _check_stopped(stack: Stack) -> None:
    if running := stack.running():
        raise StackFailure(
            f"{', '.join(running)} still run", hint="stop them first: `bayline down`"
        )


def _check_fits(stack: Stack, folder: Path, manifest: Manifest) -> None:
    """That it is whole, that this release can read it, and that there is room for it."""
    needed = {sealed(folder, dump_of(database)).name for database in DATABASES}
    if missing := needed - set(manifest.files):
        raise StackFailure(f"{folder} lacks {', '.join(sorted(missing))}")
    if manifest.postgres > postgres.major() or _unknown(manifest):
        raise StackFailure(
            f"{folder} was made by a newer release", hint="restore it with that release"
        )
    data = stack.parts.cluster().data
    there = next(each for each in data.parents if each.exists())
    if (free := shutil.disk_usage(there).free) < manifest.size:
        raise StackFailure(
            f"{there} has room for {free >> 20} MiB, and the backup needs {manifest.size >> 20} MiB"
            " beside the data that it replaces",
            hint="make room, or restore into a stack of another BAYLINE_HOME",
        )


def _unknown(manifest: Manifest) -> set[str]:
    return {
        name
        for database in DATABASES
        for name in manifest.migrations.get(database, ())
        if name not in migrate.names_of(database)
    }


def _keys(archive: Archive, manifest: Manifest, environments: Environments) -> dict[str, str]:
    """The backup's, else this stack's own: either way the one that sealed its persons is there."""
    keys = environments.secrets.keys()
    if sealed(archive.folder, KEYS).name in manifest.files:
        keys = json.loads(b"".join(archive.opened(KEYS)))
    if fingerprint(keys.get("key/kek", "")) != manifest.kek:
        raise StackFailure(
            "this stack has another key than the one that sealed the backup's persons",
            hint="restore a backup made with --with-keys, or put back the old secrets.json",
        )
    return dict(keys)


@contextmanager
def _nothing_changed(stack: Stack, say: Say) -> Iterator[None]:
    """What fails here leaves the stack as it was, and stopped."""
    try:
        yield
    except BaseException as failure:
        left = _drafts_left(stack)
        stack.down(say)
        if not isinstance(failure, StackFailure | psycopg.Error | OSError):
            raise
        what = failure if isinstance(failure, StackFailure) else StackFailure(str(failure))
        raise StackFailure(
            f"{what.message}\nNothing was restored, and the data of this stack are as they were.{left}",
            hint=what.hint or "restore again once that is put right",
            log=what.log,
        ) from failure


def _drafts_left(stack: Stack) -> str:
    """Of a restore that failed; PostgreSQL may be what failed."""
    server = stack.parts.environments.postgres
    try:
        for database in DATABASES:
            databases.drop(server, _draft_name(database))
    except psycopg.Error as error:
        return f" What was restored so far is dropped by the next restore: {error}"
    return ""


@contextmanager
def _half_done(stack: Stack, say: Say) -> Iterator[None]:
    """From here on there is only forward, and `up` knows it."""
    try:
        yield
    except (StackFailure, psycopg.Error, OSError) as failure:
        stack.down(say)
        raise StackFailure(
            f"{failure}\nThis stack is half restored, and does not start like that.",
            hint="give the same command again: it begins anew, and forgets nobody",
        ) from failure


def _known_here(stack: Stack, *, told: bool) -> list[Erasure]:
    """Whom this stack's keyring forgot, and whom a restore had in hand that was cut off."""
    kept, server = stack.parts.restoring(), stack.parts.environments.postgres
    unfinished = erasures.written(kept) if kept.exists() else []
    with psycopg.connect(server.dsn(topology.KEYRING.name)) as keyring:
        if told or kept.exists() or erasures.knows_anybody(keyring):
            return [*unfinished, *erasures.recorded(keyring)]
    raise StackFailure(
        "this stack cannot know who was forgotten since the backup was made",
        hint="say it: --erased FILE, as `bayline privacy list --json` printed it there, "
        "or --none-erased",
    )


def _draft(environments: Environments, archive: Archive, say: Say) -> None:
    """Each database of the backup, beside the one that it will replace."""
    server = environments.postgres
    for database in DATABASES:
        draft = _draft_name(database)
        databases.drop(server, draft)
        databases.prepare(server, database, environments.passwords(database), draft)
        argv = (
            str(binary("pg_restore")),
            "--exit-on-error",
            f"--dbname={server.public_dsn(draft)}",
        )
        processes.feed(argv, archive.opened(dump_of(database)), env=server.login())
        say(database, "restored")


def _draft_name(database: str) -> str:
    return f"{database}_draft"


def _put_in_place(
    stack: Stack, keys: dict[str, str], forgotten: Sequence[Erasure], say: Say
) -> dict[str, str]:
    """All databases as in the backup, and the topics empty. Returns the stores' new epochs.

    What is cut off is begun again, and still knows whom to forget.
    """
    in_hand, server = stack.parts.restoring(), stack.parts.environments.postgres
    private_files.write(in_hand, json.dumps(erasures.document(forgotten)))
    stack.parts.environments.secrets.adopt(keys)
    shutil.rmtree(stack.parts.broker().folder, ignore_errors=True)
    for database in DATABASES:
        databases.put_in_place(server, _draft_name(database), database)
    _lay_aside(stack.parts.anchor(), say)
    stack.start("postgres", say)
    with psycopg.connect(server.dsn(topology.KEYRING.name)) as keyring:
        for erasure in erasures.apply(keyring, forgotten):
            say(topology.KEYRING.name, f"{erasure.subject} is forgotten again")
    for service in topology.STORING:
        _forget_topics(server, service.name)
    epochs = {service: _renewed(server, service) for service in STORES}
    in_hand.unlink()
    return epochs


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
