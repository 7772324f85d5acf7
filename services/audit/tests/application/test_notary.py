from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from audit.application.notary import Notary, Note
from audit.domain.checkpoint import Checkpoint, opened
from audit.domain.merkle import Frontier, LogDamaged, leaf_hash
from services.audit.tests.application.signing import Seal


@dataclass
class Books:
    """The logs of some tenants, in memory, and what stands beside them."""

    records: dict[str, list[bytes]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    receipts: dict[tuple[str, str, int], str] = field(default_factory=dict)

    async def unsigned(self) -> Sequence[tuple[str, int, Checkpoint | None]]:
        last = {note.tenant: note.checkpoint for note in self.notes}
        return [
            (tenant, len(records), last.get(tenant))
            for tenant, records in self.records.items()
            if tenant not in last or last[tenant].size != len(records)
        ]

    async def root(self, tenant: str, size: int) -> bytes:
        if b"lost" in self.records[tenant][:size]:
            raise LogDamaged("it has lost a hash")
        return Frontier().grown([leaf_hash(each) for each in self.records[tenant][:size]])[0].root

    async def add(self, note: Note) -> None:
        self.notes.append(note)

    async def unanchored(self, kind: str) -> Sequence[Note]:
        return [n for n in self.notes if (n.tenant, kind, n.checkpoint.size) not in self.receipts]

    async def anchored(self, note: Note, kind: str, receipt: str) -> None:
        self.receipts[note.tenant, kind, note.checkpoint.size] = receipt


@dataclass
class Paper:
    """An anchor that remembers, or refuses to."""

    kind: str = "file"
    kept: list[Note] = field(default_factory=list)
    full: bool = False

    async def keep(self, notes: Sequence[Note]) -> Sequence[str]:
        if self.full:
            raise OSError("no space left")
        self.kept += notes
        return [f"page {len(self.kept)}"] * len(notes)

    def latest(self, tenant: str) -> Checkpoint | None:
        return next((n.checkpoint for n in reversed(self.kept) if n.tenant == tenant), None)


@pytest.fixture
def books() -> Books:
    return Books({"acme": [b"1", b"2", b"3"]})


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def notary(books: Books, paper: Paper) -> Notary:
    return Notary(books, Seal(), paper, [Paper("topic")])


async def test_what_was_sequenced_is_signed(notary: Notary, books: Books) -> None:
    await notary.sign()

    [note] = books.notes
    root = await books.root("acme", 3)
    assert opened(note.text, Seal()) == Checkpoint("audit.example/acme", 3, root)


async def test_nothing_is_signed_twice(notary: Notary, books: Books) -> None:
    await notary.sign()
    await notary.sign()

    assert len(books.notes) == 1


async def test_every_checkpoint_is_anchored_once_in_each_place(
    notary: Notary, books: Books, paper: Paper
) -> None:
    await notary.sign()
    await notary.anchor()
    books.records["acme"].append(b"4")
    await notary.sign()
    await notary.anchor()
    await notary.anchor()

    assert [note.checkpoint.size for note in paper.kept] == [3, 4]
    assert books.receipts.keys() == {
        ("acme", kind, size) for kind in ("file", "topic") for size in (3, 4)
    }


async def test_a_checkpoint_that_could_not_be_anchored_is_anchored_later(
    notary: Notary, books: Books, paper: Paper
) -> None:
    await notary.sign()
    paper.full = True
    with pytest.raises(OSError, match="no space"):
        await notary.anchor()

    paper.full = False
    await notary.anchor()

    assert paper.kept == books.notes


async def signed_and_anchored(notary: Notary) -> None:
    await notary.sign()
    await notary.anchor()


async def test_a_log_that_was_cut_gets_no_new_checkpoint(notary: Notary, books: Books) -> None:
    await signed_and_anchored(notary)
    books.records["acme"].pop()

    await notary.sign()

    assert len(books.notes) == 1
    assert notary.refused == {"acme": "it has 2 records, and 3 were signed"}


async def test_a_log_that_was_rewritten_gets_no_new_checkpoint(
    notary: Notary, books: Books
) -> None:
    await signed_and_anchored(notary)
    books.records["acme"][1:] = [b"forged", b"3", b"4"]

    await notary.sign()

    assert notary.refused == {"acme": "its first 3 records are not those that were signed"}


async def test_an_anchor_binds_even_when_the_database_forgot_its_checkpoints(
    notary: Notary, books: Books
) -> None:
    await signed_and_anchored(notary)
    books.notes.clear()
    books.records["acme"] = [b"another", b"past"]

    await notary.sign()

    assert books.notes == []
    assert notary.refused == {"acme": "it has 2 records, and 3 were signed"}


async def test_the_log_of_another_tenant_is_signed_all_the_same(
    notary: Notary, books: Books
) -> None:
    books.records["globex"] = [b"lost"]

    await notary.sign()

    assert [note.tenant for note in books.notes] == ["acme"]
    assert notary.refused == {"globex": "it has lost a hash"}


async def test_a_log_that_was_put_right_is_signed_again(notary: Notary, books: Books) -> None:
    await signed_and_anchored(notary)
    cut = books.records["acme"].pop()
    await notary.sign()
    books.records["acme"] += [cut, b"4"]

    await notary.sign()

    assert notary.refused == {}
    assert [note.checkpoint.size for note in books.notes] == [3, 4]
