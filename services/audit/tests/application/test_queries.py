from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import pytest

from audit.application.queries import Leaf, Proofs, Signed
from audit.domain.errors import AuditRecordNotFound, CheckpointNotSigned, SizeBeyondLog
from audit.domain.merkle import Frontier, Node, check_consistency, check_inclusion, leaf_hash

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
JOB, OTHER = UUID(int=1), UUID(int=2)
RECORDS = [f"{number}".encode() for number in range(9)]
STREAMS = [JOB if index % 2 else OTHER for index in range(9)]


def signed(size: int) -> Signed:
    leaves = [leaf_hash(record) for record in RECORDS[:size]]
    return Signed(size, Frontier().grown(leaves)[0].root, f"note of {size}", NOON)


@dataclass
class Kept:
    """One tenant's log of nine records; event ids are their indices."""

    checkpoint: Signed | None = field(default_factory=lambda: signed(8))

    async def latest(self, tenant: str) -> Signed | None:
        return self.checkpoint

    async def of_event(self, tenant: str, event: UUID) -> Leaf | None:
        index = event.int
        return Leaf(index, RECORDS[index]) if index < len(RECORDS) else None

    async def page(
        self, tenant: str, stream: UUID | None, first: int, last: int, size: int
    ) -> Sequence[Leaf]:
        found = [i for i in range(first, last) if stream in {None, STREAMS[i]}]
        return [Leaf(index, RECORDS[index]) for index in found[:size]]

    async def hashes(self, tenant: str, nodes: Sequence[Node]) -> Mapping[Node, bytes]:
        leaves = [leaf_hash(record) for record in RECORDS]
        kept = {(0, i): leaf for i, leaf in enumerate(leaves)} | dict(Frontier().grown(leaves)[1])
        return {node: kept[node] for node in nodes}


@pytest.fixture
def log() -> Kept:
    return Kept()


@pytest.fixture
def proofs(log: Kept) -> Proofs:
    return Proofs(log)


async def test_what_happened_to_a_job_comes_with_the_proof_of_each_record(proofs: Proofs) -> None:
    found, more, checkpoint = await proofs.page("acme", JOB, 0, 50)

    assert [each.leaf.index for each in found] == [1, 3, 5, 7]
    assert more is None
    for each in found:
        leaf = leaf_hash(each.leaf.record)
        check_inclusion(leaf, each.leaf.index, checkpoint.size, each.proof, checkpoint.root)


async def test_pages_follow_one_another(proofs: Proofs) -> None:
    first, more, _ = await proofs.page("acme", None, 0, 5)
    assert more is not None
    second, end, _ = await proofs.page("acme", None, more, 5)

    assert [each.leaf.index for each in (*first, *second)] == list(range(8))
    assert end is None


async def test_a_record_is_found_by_its_event(proofs: Proofs) -> None:
    proven, checkpoint = await proofs.of_event("acme", UUID(int=3))

    assert proven.leaf == Leaf(3, RECORDS[3])
    check_inclusion(leaf_hash(RECORDS[3]), 3, 8, proven.proof, checkpoint.root)


@pytest.mark.parametrize("event", [8, 99], ids=["not signed yet", "never seen"])
async def test_a_record_that_no_checkpoint_covers_is_not_shown(proofs: Proofs, event: int) -> None:
    with pytest.raises(AuditRecordNotFound):
        await proofs.of_event("acme", UUID(int=event))


async def test_a_checkpoint_kept_from_before_is_proved_to_begin_the_log(proofs: Proofs) -> None:
    proof, checkpoint = await proofs.consistency("acme", 5)

    check_consistency(5, 8, proof, signed(5).root, checkpoint.root)


async def test_a_size_the_log_never_had_is_refused(proofs: Proofs) -> None:
    with pytest.raises(SizeBeyondLog, match="8 records"):
        await proofs.consistency("acme", 9)


async def test_nothing_is_proved_before_something_is_signed(proofs: Proofs, log: Kept) -> None:
    log.checkpoint = None

    with pytest.raises(CheckpointNotSigned):
        await proofs.page("acme", None, 0, 5)
