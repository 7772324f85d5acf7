"""Signs what was sequenced, unless the log is no longer the one it signed before; then anchors it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from audit.domain.checkpoint import Checkpoint, Signer, origin_of, signed
from audit.domain.merkle import LogDamaged


@dataclass(frozen=True, slots=True)
class Note:
    """A signed checkpoint of a tenant."""

    tenant: str
    checkpoint: Checkpoint
    text: str


class Ledger(Protocol):
    async def unsigned(self) -> Sequence[tuple[str, int, Checkpoint | None]]:
        """Tenants whose log has another size than their latest checkpoint."""
        ...

    async def root(self, tenant: str, size: int) -> bytes:
        """Of the first `size` records as they are now. Raises `LogDamaged`."""
        ...

    async def add(self, note: Note) -> None: ...
    async def unanchored(self, kind: str) -> Sequence[Note]: ...
    async def anchored(self, note: Note, kind: str, receipt: str) -> None: ...


class Anchor(Protocol):
    """A place apart from the database, where checkpoints are kept."""

    @property
    def kind(self) -> str: ...
    async def keep(self, notes: Sequence[Note]) -> Sequence[str]:
        """Returns where each is; may be told again what it has."""
        ...


class Memory(Anchor, Protocol):
    """An anchor that can say what it was given."""

    def latest(self, tenant: str) -> Checkpoint | None: ...


@dataclass(slots=True)
class Notary:
    """What it signed binds it: a log that was cut or rewritten gets no new signature."""

    ledger: Ledger
    signer: Signer
    memory: Memory
    anchors: Sequence[Anchor]
    refused: dict[str, str] = field(default_factory=dict)

    async def sign(self) -> None:
        """`refused` says whose log got no new checkpoint, and why."""
        for tenant, size, last in await self.ledger.unsigned():
            self.refused.pop(tenant, None)
            try:
                await self._require_same(tenant, size, last)
                await self.ledger.add(
                    self._note(tenant, size, await self.ledger.root(tenant, size))
                )
            except LogDamaged as error:
                self.refused[tenant] = str(error)

    async def anchor(self) -> None:
        for anchor in (self.memory, *self.anchors):
            notes = await self.ledger.unanchored(anchor.kind)
            receipts = await anchor.keep(notes) if notes else ()
            for note, receipt in zip(notes, receipts, strict=True):
                await self.ledger.anchored(note, anchor.kind, receipt)

    async def _require_same(self, tenant: str, size: int, last: Checkpoint | None) -> None:
        for kept in filter(None, {last, self.memory.latest(tenant)}):
            if kept.size > size:
                raise LogDamaged(f"it has {size} records, and {kept.size} were signed")
            if await self.ledger.root(tenant, kept.size) != kept.root:
                raise LogDamaged(f"its first {kept.size} records are not those that were signed")

    def _note(self, tenant: str, size: int, root: bytes) -> Note:
        checkpoint = Checkpoint(origin_of(self.signer.name, tenant), size, root)
        return Note(tenant, checkpoint, signed(checkpoint, self.signer))
