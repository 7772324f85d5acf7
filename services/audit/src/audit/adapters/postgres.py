"""The log as requests see it: one tenant's rows, and only what a checkpoint covers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from audit.adapters.hashes import hashes
from audit.application.queries import Leaf, Signed
from audit.domain.merkle import Node
from runtime.database import Pool, rows, tenant_connection

LATEST = "SELECT size, root, note, at FROM audit.checkpoint ORDER BY size DESC LIMIT 1"
OF_EVENT = "SELECT seq, record FROM audit.leaf WHERE event_id = %s ORDER BY seq LIMIT 1"
PAGE = "SELECT seq, record FROM audit.leaf WHERE seq >= %s AND seq < %s ORDER BY seq LIMIT %s"
PAGE_OF_STREAM = """
SELECT seq, record FROM audit.leaf
 WHERE stream = %s AND seq >= %s AND seq < %s ORDER BY seq LIMIT %s"""


@dataclass(frozen=True, slots=True)
class PostgresLog:
    pool: Pool

    async def latest(self, tenant: str) -> Signed | None:
        found = await rows(self.pool, tenant, LATEST)
        return Signed(*found[0]) if found else None

    async def of_event(self, tenant: str, event: UUID) -> Leaf | None:
        found = await rows(self.pool, tenant, OF_EVENT, (event,))
        return Leaf(*found[0]) if found else None

    async def page(
        self, tenant: str, stream: UUID | None, first: int, last: int, size: int
    ) -> Sequence[Leaf]:
        bounds = (first, last, size)
        if stream is None:
            found = await rows(self.pool, tenant, PAGE, bounds)
        else:
            found = await rows(self.pool, tenant, PAGE_OF_STREAM, (stream, *bounds))
        return [Leaf(*row) for row in found]

    async def hashes(self, tenant: str, nodes: Sequence[Node]) -> Mapping[Node, bytes]:
        async with tenant_connection(self.pool, tenant) as connection:
            kept = await hashes(connection, [(tenant, node) for node in nodes])
        return {node: kept[tenant, node] for node in nodes}
