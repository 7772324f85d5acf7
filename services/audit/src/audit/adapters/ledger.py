"""What the notary knows of the log, and what it writes beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.adapters.hashes import frontiers
from audit.application.notary import Note
from audit.domain.checkpoint import Checkpoint, origin_of
from messaging.cursor import Pool

AT_ONCE = 500

UNSIGNED = """
SELECT t.tenant, l.size, c.size, c.root
FROM audit.log t
CROSS JOIN LATERAL (
  SELECT coalesce(max(seq) + 1, 0) AS size FROM audit.leaf l WHERE l.tenant = t.tenant) l
LEFT JOIN LATERAL (
  SELECT size, root FROM audit.checkpoint c WHERE c.tenant = t.tenant
   ORDER BY size DESC LIMIT 1) c ON true
WHERE l.size IS DISTINCT FROM c.size ORDER BY t.tenant"""
ADD = """
INSERT INTO audit.checkpoint (tenant, size, root, note) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING"""
UNANCHORED = """
SELECT c.tenant, c.size, c.root, c.note
FROM audit.log t CROSS JOIN LATERAL (
  SELECT * FROM audit.checkpoint c
   WHERE c.tenant = t.tenant AND c.size > (
     SELECT coalesce(max(a.size), 0) FROM audit.anchor a
      WHERE a.tenant = t.tenant AND a.kind = %s)
   ORDER BY c.size LIMIT %s) c"""
ANCHORED = """
INSERT INTO audit.anchor (tenant, kind, size, receipt) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING"""


@dataclass(frozen=True, slots=True)
class PostgresLedger:
    """Of all tenants: as the role that projects. `name` is that of the signing key."""

    pool: Pool
    name: str

    async def unsigned(self) -> Sequence[tuple[str, int, Checkpoint | None]]:
        async with self.pool.connection() as connection:
            found = await (await connection.execute(UNSIGNED)).fetchall()
        return [
            (tenant, size, self._checkpoint(tenant, last, root) if last else None)
            for tenant, size, last, root in found
        ]

    async def root(self, tenant: str, size: int) -> bytes:
        async with self.pool.connection() as connection:
            return (await frontiers(connection, {tenant: size}))[tenant].root

    async def add(self, note: Note) -> None:
        checkpoint = note.checkpoint
        values = (note.tenant, checkpoint.size, checkpoint.root, note.text)
        async with self.pool.connection() as connection:
            await connection.execute(ADD, values)

    async def unanchored(self, kind: str) -> Sequence[Note]:
        async with self.pool.connection() as connection:
            found = await (await connection.execute(UNANCHORED, (kind, AT_ONCE))).fetchall()
        return [
            Note(tenant, self._checkpoint(tenant, size, root), text)
            for tenant, size, root, text in found
        ]

    async def anchored(self, note: Note, kind: str, receipt: str) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(ANCHORED, (note.tenant, kind, note.checkpoint.size, receipt))

    def _checkpoint(self, tenant: str, size: int, root: bytes) -> Checkpoint:
        return Checkpoint(origin_of(self.name, tenant), size, root)
