from dataclasses import replace

import pytest

from audit.application.proving import Proof, ProofRefused, check_growth, check_proof
from audit.domain.checkpoint import Checkpoint, signed
from audit.domain.merkle import Frontier, consistency, hashes_of, inclusion, leaf_hash
from audit.domain.record import Place, Record
from services.audit.tests.application.signing import Seal

SEAL = Seal()
RECORDS = [
    Record(Place("acme", "jobs", b"e" * 16, 1, pos, b"s" * 16, b"i" * 16), (), b"%d" % pos)
    for pos in range(1, 8)
]
LEAVES = [leaf_hash(record.encoded) for record in RECORDS]
KEPT = {(0, index): leaf for index, leaf in enumerate(LEAVES)} | dict(Frontier().grown(LEAVES)[1])


def note_of(size: int, origin: str = "audit.example/acme", seal: Seal = SEAL) -> str:
    root = Frontier().grown(LEAVES[:size])[0].root
    return signed(Checkpoint(origin, size, root), seal)


PROOF = Proof(RECORDS[3].encoded, 3, hashes_of(inclusion(3, 7), KEPT.__getitem__), note_of(7))
GROWTH = hashes_of(consistency(3, 7), KEPT.__getitem__)


def test_a_proof_on_paper_shows_what_was_recorded() -> None:
    record, checkpoint = check_proof(PROOF, SEAL)

    assert record == RECORDS[3]
    assert checkpoint.size == 7


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (replace(PROOF, record=RECORDS[2].encoded), "is not in the tree"),
        (replace(PROOF, record=b"nothing"), "no record"),
        (replace(PROOF, index=4), "not in the tree|too"),
        (replace(PROOF, hashes=PROOF.hashes[::-1]), "is not in the tree"),
        (replace(PROOF, note=note_of(6)), "not in the tree"),
        (replace(PROOF, note=note_of(7, seal=Seal(public=b"x" * 32))), "not signed"),
        (replace(PROOF, note=note_of(7, "audit.example/globex")), "the record is of acme"),
    ],
)
def test_a_proof_that_was_changed_proves_nothing(wrong: Proof, why: str) -> None:
    with pytest.raises(ProofRefused, match=why):
        check_proof(wrong, SEAL)


def test_a_note_kept_from_before_is_the_beginning_of_the_log() -> None:
    first, second = check_growth(note_of(3), note_of(7), GROWTH, SEAL)

    assert (first.size, second.size) == (3, 7)


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        (note_of(4), note_of(7), "does not begin|too long"),
        (note_of(7), note_of(3), "does not begin"),
        (note_of(3, "audit.example/globex"), note_of(7), "the other of"),
        (note_of(3).replace("3", "2"), note_of(7), "not"),
    ],
)
def test_a_note_of_another_past_is_refused(before: str, now: str, why: str) -> None:
    with pytest.raises(ProofRefused, match=why):
        check_growth(before, now, GROWTH, SEAL)
