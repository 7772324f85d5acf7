"""What auditors ask: records and checkpoints, each with the hashes that prove it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from audit.domain import merkle
from audit.domain.errors import AuditRecordNotFound, CheckpointNotSigned, SizeBeyondLog
from audit.domain.merkle import Node, Span


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint as it was signed."""

    size: int
    root: bytes
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Leaf:
    index: int
    record: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    leaf: Leaf
    proof: Sequence[bytes]


class Log(Protocol):
    """One tenant's log."""

    async def latest(self, tenant: str) -> Signed | None: ...
    async def of_event(self, tenant: str, event: UUID) -> Leaf | None: ...
    async def page(
        self, tenant: str, stream: UUID | None, first: int, last: int, size: int
    ) -> Sequence[Leaf]:
        """At most `size` leaves from index `first` up to `last`, the latter excluded."""
        ...

    async def hashes(self, tenant: str, nodes: Sequence[Node]) -> Mapping[Node, bytes]: ...


@dataclass(frozen=True, slots=True)
class Proofs:
    log: Log

    async def latest(self, tenant: str) -> Signed:
        checkpoint = await self.log.latest(tenant)
        if checkpoint is None:
            raise CheckpointNotSigned("nothing is signed yet; ask again in a second")
        return checkpoint

    async def of_event(self, tenant: str, event: UUID) -> tuple[Proven, Signed]:
        checkpoint = await self.latest(tenant)
        leaf = await self.log.of_event(tenant, event)
        if leaf is None or leaf.index >= checkpoint.size:
            raise AuditRecordNotFound("no checkpoint covers such a record", event=str(event))
        [proven] = await self._proven(tenant, [leaf], checkpoint.size)
        return proven, checkpoint

    async def page(
        self, tenant: str, stream: UUID | None, first: int, size: int
    ) -> tuple[Sequence[Proven], int | None, Signed]:
        """And the index at which the next page begins; None on the last."""
        checkpoint = await self.latest(tenant)
        found = await self.log.page(tenant, stream, first, checkpoint.size, size + 1)
        more = found[size].index if len(found) > size else None
        return await self._proven(tenant, found[:size], checkpoint.size), more, checkpoint

    async def consistency(self, tenant: str, size: int) -> tuple[Sequence[bytes], Signed]:
        checkpoint = await self.latest(tenant)
        if size > checkpoint.size:
            raise SizeBeyondLog(f"the log has {checkpoint.size} records", size=str(checkpoint.size))
        [proof] = await self._hashes(tenant, [merkle.consistency(size, checkpoint.size)])
        return proof, checkpoint

    async def _proven(self, tenant: str, leaves: Sequence[Leaf], size: int) -> list[Proven]:
        paths = [merkle.inclusion(leaf.index, size) for leaf in leaves]
        proofs = await self._hashes(tenant, paths)
        return [Proven(leaf, proof) for leaf, proof in zip(leaves, proofs, strict=True)]

    async def _hashes(self, tenant: str, paths: Sequence[Sequence[Span]]) -> list[list[bytes]]:
        """Of all paths at once: they share most of their nodes."""
        nodes = {node for path in paths for span in path for node in merkle.cover(span)}
        kept = await self.log.hashes(tenant, sorted(nodes))
        return [merkle.hashes_of(path, kept.__getitem__) for path in paths]
