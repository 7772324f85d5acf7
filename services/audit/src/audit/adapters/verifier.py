"""The log in PostgreSQL as a verifier reads it: straight from the tables, in as many processes as help."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import psycopg
from psycopg import Connection

from audit.application.verifying import Chunk, Extent, Kept, Report, Row, check, verify
from audit.domain.checkpoint import Verifier
from audit.domain.record import Place

PAGE = 1_024
PROCESSES = min(8, os.cpu_count() or 1)

TENANTS = """
SELECT tenant FROM audit.log UNION SELECT tenant FROM audit.checkpoint ORDER BY tenant"""
EXTENT = """
SELECT (SELECT coalesce(max(seq) + 1, 0) FROM audit.leaf WHERE tenant = %(tenant)s),
       (SELECT count(*) FROM audit.node WHERE tenant = %(tenant)s)"""
BY_INDEX = "SET enable_bitmapscan = off"  # in order; else a new log's pages are sorted on disk
ROWS = """
SELECT seq, leaf, record, tenant, topic,
       uuid_send(epoch), shard, pos, uuid_send(stream), uuid_send(event_id)
FROM audit.leaf WHERE tenant = %s AND seq >= %s AND seq < %s ORDER BY seq"""
NODES = """
SELECT coalesce(string_agg(hash, '' ORDER BY idx), '') FROM audit.node
WHERE tenant = %s AND level = %s AND idx >= %s AND idx < %s"""
CHECKPOINTS = "SELECT size, root, note FROM audit.checkpoint WHERE tenant = %s ORDER BY size"


@dataclass(frozen=True, slots=True)
class StoredLog:
    connection: Connection
    tenant: str

    def rows(self, first: int, last: int) -> Iterator[Row]:
        for start in range(first, last, PAGE):
            bounds = (self.tenant, start, min(start + PAGE, last))
            for seq, leaf, record, *place in self.connection.execute(ROWS, bounds, binary=True):
                yield Row(seq, Place(*place).encoded, leaf, record)

    def nodes(self, level: int, first: int, last: int) -> bytes:
        bounds = (self.tenant, level, first, last)
        [hashes] = self.connection.execute(NODES, bounds, binary=True).fetchone() or (b"",)
        return bytes(hashes)


def tenants_of(dsn: str) -> list[str]:
    """Whose log there is anything of."""
    with psycopg.connect(dsn) as connection:
        return [tenant for (tenant,) in connection.execute(TENANTS)]


def checkpoints(connection: Connection, tenant: str) -> list[Kept]:
    return [
        Kept(f"the checkpoint of {size} in the database", note, size, root)
        for size, root, note in connection.execute(CHECKPOINTS, (tenant,))
    ]


def verify_stored(dsn: str, tenant: str, anchors: Sequence[Kept], verifier: Verifier) -> Report:
    """One tenant's log; `anchors` are the notes that were kept elsewhere."""
    with psycopg.connect(dsn) as connection:
        notes = [*checkpoints(connection, tenant), *anchors]  # first: the log grows meanwhile
        extent = Extent(*connection.execute(EXTENT, {"tenant": tenant}).fetchone() or (0, 0))
        log, chunks = StoredLog(connection, tenant), partial(_chunks, dsn, tenant)
        return verify(tenant, log, extent, notes, verifier, chunks)


def _chunks(
    dsn: str, tenant: str, spans: Sequence[tuple[int, int]], sizes: Sequence[int]
) -> Iterable[Chunk]:
    checked = partial(_check, dsn, tenant, sizes)
    if len(spans) == 1:
        return map(checked, spans)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as workers:
        return list(workers.map(checked, spans))


def _check(dsn: str, tenant: str, sizes: Sequence[int], span: tuple[int, int]) -> Chunk:
    with psycopg.connect(dsn) as connection:
        connection.execute(BY_INDEX)
        return check(StoredLog(connection, tenant), *span, sizes)
