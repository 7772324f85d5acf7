"""What an auditor checks without us: a proof on paper, a public key, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.domain import merkle, record
from audit.domain.checkpoint import Checkpoint, NoteWrong, Verifier, opened, origin_of
from audit.domain.record import Record, RecordUnreadable


class ProofRefused(Exception):
    """It proves nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a record is at an index of the log whose checkpoint this note is."""

    record: bytes
    index: int
    hashes: Sequence[bytes]
    note: str


def check_proof(proof: Proof, verifier: Verifier) -> tuple[Record, Checkpoint]:
    """What was proved. Raises `ProofRefused`."""
    try:
        checkpoint = opened(proof.note, verifier)
        found = record.read(proof.record)
        leaf, size = merkle.leaf_hash(proof.record), checkpoint.size
        merkle.check_inclusion(leaf, proof.index, size, proof.hashes, checkpoint.root)
    except (NoteWrong, RecordUnreadable, merkle.ProofWrong) as error:
        raise ProofRefused(str(error)) from error
    if checkpoint.origin != origin_of(verifier.name, found.place.tenant):
        raise ProofRefused(f"the record is of {found.place.tenant}, the log {checkpoint.origin}")
    return found, checkpoint


def check_growth(
    before: str, now: str, hashes: Sequence[bytes], verifier: Verifier
) -> tuple[Checkpoint, Checkpoint]:
    """That the log of the first note begins that of the second. Raises `ProofRefused`."""
    try:
        first, second = opened(before, verifier), opened(now, verifier)
        sizes, roots = (first.size, second.size), (first.root, second.root)
        merkle.check_consistency(*sizes, hashes, *roots)
    except (NoteWrong, merkle.ProofWrong) as error:
        raise ProofRefused(str(error)) from error
    if first.origin != second.origin:
        raise ProofRefused(f"one is of {first.origin}, the other of {second.origin}")
    return first, second
