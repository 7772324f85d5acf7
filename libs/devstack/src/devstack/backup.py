"""`bayline backup`: the stores, the read models, the cursors and the keys of one instant."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from psycopg import Connection

from devstack import show
from devstack.failure import StackFailure
from devstack.postgres import Server, binary
from devstack.processes import run
from devstack.snapshots import STORES, one_instant
from devstack.stack import Stack
from kernel.clock import SystemClock

FORMAT = 1
MANIFEST = "manifest.json"
KEYS = "keys.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files`: the SHA-256 of each dump. `kek`: of the key without which persons stay sealed."""

    format: int
    taken_at: str
    events: Mapping[str, int]  # by store
    epochs: Mapping[str, str]
    files: Mapping[str, str]
    kek: str


def backup(
    folder: Annotated[Path, typer.Argument(help="Where to; must not exist yet.")],
    *,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Also the keys that seal persons: keep it safe.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Dump all databases as they were at one instant, beside a running stack."""
    if folder.exists():
        raise StackFailure(f"{folder} exists already", hint="name a folder that does not")
    environments = Stack.here().parts.environments
    folder.mkdir(parents=True, mode=0o700)
    taken_at = SystemClock().now()
    with one_instant(environments.postgres) as connections:
        events, epochs = _counted(connections)
        _dump(environments.postgres, connections, folder)
    if with_keys:
        keys = folder / KEYS
        keys.touch(mode=0o600)
        keys.write_text(json.dumps(environments.secrets.keys(), indent=2))
    kek = fingerprint(environments.secrets.key("kek"))
    manifest = _written_manifest(folder, taken_at, events, epochs, kek)
    if as_json:
        show.json(asdict(manifest))
    else:
        show.line(f"{sum(events.values())} events and all that follows from them: {folder}")


def dump_file(folder: Path, database: str) -> Path:
    return folder / f"{database}.dump"


def checksum(file: Path) -> str:
    with file.open("rb") as stream:
        digest = sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(key: str) -> str:
    return sha256(key.encode()).hexdigest()[:16]


def _counted(connections: Mapping[str, Connection]) -> tuple[dict[str, int], dict[str, str]]:
    events, epochs = {}, {}
    for name in STORES:
        query = "SELECT (SELECT count(*) FROM es.event), (SELECT epoch FROM es.store)"
        count, epoch = connections[name].execute(query).fetchone() or (0, "")
        events[name], epochs[name] = count, str(epoch)
    return events, epochs


def _dump(server: Server, connections: Mapping[str, Connection], folder: Path) -> None:
    def dump(database: str, snapshot: str) -> None:
        argv = (
            str(binary("pg_dump")),
            "--format=custom",
            f"--snapshot={snapshot}",
            f"--file={dump_file(folder, database)}",
            f"--dbname={server.public_dsn(database)}",
        )
        done = run(argv, env=server.login())
        if done.returncode != 0:
            raise StackFailure(f"pg_dump of {database} failed: {done.stderr.strip()}")

    snapshots = {name: _exported(connection) for name, connection in connections.items()}
    with ThreadPoolExecutor(2) as workers:
        list(workers.map(dump, snapshots.keys(), snapshots.values()))


def _exported(connection: Connection) -> str:
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    return str(row[0]) if row else ""


def _written_manifest(
    folder: Path,
    taken_at: datetime,
    events: Mapping[str, int],
    epochs: Mapping[str, str],
    kek: str,
) -> Manifest:
    files = {file.name: checksum(file) for file in sorted(folder.iterdir())}
    manifest = Manifest(FORMAT, taken_at.isoformat(), events, epochs, files, kek)
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2))
    return manifest
