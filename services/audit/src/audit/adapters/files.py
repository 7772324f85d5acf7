"""A log written to a folder in the form of C2SP tlog-tiles, and verified there without us."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
from psycopg import Connection

from audit.adapters.verifier import checkpoints
from audit.application.tiles import TILE, Tile, bundle, tiles, unbundled
from audit.application.verifying import Chunk, Extent, Kept, Report, Row, check, verify
from audit.domain.checkpoint import Verifier, opened
from audit.domain.record import counted, read

NOTES = "checkpoints.ndjson"  # all there were, beside the latest in `checkpoint`

RECORDS = """
SELECT record FROM audit.leaf WHERE tenant = %s AND seq >= %s AND seq < %s ORDER BY seq"""
LEAVES = """
SELECT string_agg(leaf, '' ORDER BY seq) FROM audit.leaf
WHERE tenant = %s AND seq >= %s AND seq < %s"""
HASHES = """
SELECT string_agg(hash, '' ORDER BY idx) FROM audit.node
WHERE tenant = %s AND idx >= %s AND idx < %s AND level = %s"""


def export(dsn: str, tenant: str, folder: Path) -> int:
    """Up to the latest checkpoint. Returns how many records; 0 where nothing is signed."""
    with psycopg.connect(dsn) as connection:
        notes = checkpoints(connection, tenant)
        if not notes:
            return 0
        size = notes[-1].size or 0
        for tile in tiles(size):
            _write(folder / tile.path, _content(connection, tenant, tile))
    lines = (json.dumps({"tenant": tenant, "note": kept.note}) for kept in notes)
    _write(folder / NOTES, "".join(f"{line}\n" for line in lines).encode())
    _write(folder / "checkpoint", notes[-1].note.encode())
    return size


def _content(connection: Connection, tenant: str, tile: Tile) -> bytes:
    bounds = (tenant, tile.first, tile.first + tile.count)
    if tile.level is None:
        found = connection.execute(RECORDS, bounds, binary=True).fetchall()
        return bundle([record for (record,) in found], tile.first)
    query, more = (HASHES, (tile.level,)) if tile.level else (LEAVES, ())
    [hashes] = connection.execute(query, (*bounds, *more), binary=True).fetchone() or (b"",)
    return bytes(hashes)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


@dataclass(frozen=True, slots=True)
class ExportedLog:
    """Of a tenant, in a folder; hashes of subtrees are in tiles, which repeat what leaves say."""

    folder: Path
    tenant: str
    size: int

    def rows(self, first: int, last: int) -> Iterator[Row]:
        place = counted(self.tenant.encode())
        for start in range(first - first % TILE, last, TILE):
            count = min(TILE, self.size - start)
            hashes = (self.folder / Tile(0, start, count).path).read_bytes()
            records = unbundled((self.folder / Tile(None, start, count).path).read_bytes())
            for index, record in enumerate(records):
                leaf = hashes[index * 32 : (index + 1) * 32]
                yield Row(start + index, place, leaf, record)

    def nodes(self, level: int, first: int, last: int) -> bytes | None:
        return None


def verify_exported(
    folder: Path, anchors: Sequence[tuple[str, Kept]], verifier: Verifier
) -> Report:
    """Needs the folder and the public key. Raises OSError where a file is missing."""
    latest = opened((folder / "checkpoint").read_text(), verifier)
    lines = map(json.loads, (folder / NOTES).read_text().splitlines())
    notes = [
        Kept(f"line {number} of {NOTES}", line["note"]) for number, line in enumerate(lines, 1)
    ]
    log = ExportedLog(folder, _tenant(folder, latest.size), latest.size)
    notes += [kept for tenant, kept in anchors if tenant == log.tenant]
    extent = Extent(latest.size, 0)
    return verify(log.tenant, log, extent, notes, verifier, partial(_chunks, log))


def _tenant(folder: Path, size: int) -> str:
    """Of the first record; that all are of the log's tenant is checked with each of them."""
    first = Tile(None, 0, min(TILE, size)).path
    return read(unbundled((folder / first).read_bytes())[0]).place.tenant


def _chunks(
    log: ExportedLog, spans: Sequence[tuple[int, int]], sizes: Sequence[int]
) -> Iterable[Chunk]:
    return (check(log, *span, sizes) for span in spans)
