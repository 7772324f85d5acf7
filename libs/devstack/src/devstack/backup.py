"""`bayline backup`: the stores, the read models, the cursors and the keys of one instant, sealed."""

import io
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from psycopg import Connection

from devstack import archives, postgres, show
from devstack.archives import FORMAT, KEYS, Archive, Manifest, dump_of
from devstack.environments import Environments
from devstack.failure import StackFailure
from devstack.passphrases import passphrase
from devstack.postgres import Server, binary
from devstack.processes import output_of
from devstack.snapshots import STORES, one_instant
from devstack.stack import Stack
from kernel.clock import SystemClock

SIZE = "SELECT pg_database_size(current_database())"
MIGRATIONS = "SELECT package || '/' || file FROM migration.applied ORDER BY 1"

KeyFile = Annotated[
    Path | None,
    typer.Option(
        help="Holds the secret that opens the backup; else BAYLINE_BACKUP_PASSPHRASE, or asked for."
    ),
]


def backup(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where to; must not exist yet. If none: beside BAYLINE_HOME."),
    ] = None,
    *,
    key_file: KeyFile = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Also the keys that seal persons.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Dump all databases as they were at one instant, beside a running stack.

    Whoever has lost the secret has lost the backup: keep it, and not where the backups are.
    """
    stack, taken_at = Stack.here(), SystemClock().now()
    place = _place(stack.parts.home, folder, f"{taken_at:%Y%m%dT%H%M%SZ}")
    secret = passphrase(key_file, place, new=True)
    environments = stack.parts.environments
    with one_instant(environments.postgres) as connections:
        size = _size(connections)
        _check_room(place, size)
        with archives.draft_of(place, secret) as archive:
            _dump(environments.postgres, connections, archive)
            if with_keys:
                keys = json.dumps(environments.secrets.keys()).encode()
                archive.seal(KEYS, io.BytesIO(keys))
            events, epochs = _counted(connections)
            manifest = archive.write(
                Manifest(
                    format=FORMAT,
                    taken_at=taken_at.isoformat(),
                    postgres=postgres.major(),
                    size=size,
                    events=events,
                    epochs=epochs,
                    migrations=_migrations(connections),
                    files=archives.checksums(archive.folder),
                    kek=kek_of(environments),
                    salt=archive.salt.hex(),
                )
            )
    if as_json:
        show.json({"folder": str(place), **asdict(manifest)})
    else:
        show.line(f"{sum(events.values())} events and all that follows from them: {place}")


def kek_of(environments: Environments) -> str:
    return fingerprint(environments.secrets.key("kek"))


def fingerprint(key: str) -> str:
    return sha256(key.encode()).hexdigest()[:16]


def _place(home: Path, folder: Path | None, name: str) -> Path:
    """Absolute. Not in the home folder: what is there goes when the stack is erased."""
    place = (folder or home.with_name(f"{home.name}-backups") / name).expanduser().resolve()
    if place.exists():
        raise StackFailure(f"{place} exists already", hint="name a folder that does not")
    if place.is_relative_to(home):
        raise StackFailure(f"{place} goes when this stack is erased", hint="name another folder")
    return place


def _check_room(place: Path, size: int) -> None:
    """A disk that a backup fills may be the one that PostgreSQL writes to."""
    there = next(folder for folder in place.parents if folder.exists())
    if (free := shutil.disk_usage(there).free) < size:
        raise StackFailure(
            f"{there} has room for {free >> 20} MiB, and the backup may need {size >> 20} MiB",
            hint="make room, or name a folder on another disk",
        )


def _size(connections: Mapping[str, Connection]) -> int:
    found = (connection.execute(SIZE).fetchone() for connection in connections.values())
    return sum(int(row[0]) for row in found if row)


def _migrations(connections: Mapping[str, Connection]) -> dict[str, list[str]]:
    return {
        name: [str(row[0]) for row in connection.execute(MIGRATIONS)]
        for name, connection in connections.items()
    }


def _counted(connections: Mapping[str, Connection]) -> tuple[dict[str, int], dict[str, str]]:
    events, epochs = {}, {}
    for name in STORES:
        query = "SELECT (SELECT count(*) FROM es.event), (SELECT epoch FROM es.store)"
        count, epoch = connections[name].execute(query).fetchone() or (0, "")
        events[name], epochs[name] = count, str(epoch)
    return events, epochs


def _dump(server: Server, connections: Mapping[str, Connection], archive: Archive) -> None:
    def dump(database: str, snapshot: str) -> None:
        argv = (
            str(binary("pg_dump")),
            "--format=custom",
            f"--snapshot={snapshot}",
            f"--dbname={server.public_dsn(database)}",
        )
        with output_of(argv, env=server.login()) as dumped:
            archive.seal(dump_of(database), dumped)

    snapshots = {name: _exported(connection) for name, connection in connections.items()}
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(dump, snapshots.keys(), snapshots.values()))


def _exported(connection: Connection) -> str:
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""
