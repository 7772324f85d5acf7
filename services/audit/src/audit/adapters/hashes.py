"""Hashes of complete subtrees, leaves included, as PostgreSQL keeps them."""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from psycopg import AsyncConnection

from audit.domain import merkle
from audit.domain.merkle import Frontier, LogDamaged, Node

HASHES = """
SELECT w.tenant, w.level, w.idx, CASE WHEN w.level = 0
  THEN (SELECT leaf FROM audit.leaf l WHERE l.tenant = w.tenant AND l.seq = w.idx)
  ELSE (SELECT hash FROM audit.node n
         WHERE n.tenant = w.tenant AND n.level = w.level AND n.idx = w.idx) END
FROM unnest(%s::text[], %s::smallint[], %s::bigint[]) w(tenant, level, idx)"""

Kept: TypeAlias = Mapping[tuple[str, Node], bytes]


async def hashes(connection: AsyncConnection[Any], wanted: Collection[tuple[str, Node]]) -> Kept:
    tenants = [tenant for tenant, _ in wanted]
    levels, indices = ([node[i] for _, node in wanted] for i in range(2))
    found = await connection.execute(HASHES, (tenants, levels, indices), binary=True)
    kept = {(row[0], (row[1], row[2])): row[3] for row in await found.fetchall()}
    for (tenant, node), content in kept.items():
        if content is None:
            raise LogDamaged(f"the log of {tenant} has lost the hash {node}")
    return kept


async def frontiers(
    connection: AsyncConnection[Any], sizes: Mapping[str, int]
) -> Mapping[str, Frontier]:
    """The right edge of each tenant's tree of that size."""
    nodes = {tenant: merkle.cover((0, size)) for tenant, size in sizes.items()}
    kept = await hashes(connection, [(tenant, node) for tenant in nodes for node in nodes[tenant]])
    return {
        tenant: Frontier(size, tuple(kept[tenant, node] for node in nodes[tenant]))
        for tenant, size in sizes.items()
    }
