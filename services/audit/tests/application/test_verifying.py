from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from audit.application.verifying import (
    Chunk,
    Extent,
    Finding,
    Kept,
    Report,
    Row,
    check,
    verify,
)
from audit.domain.checkpoint import Checkpoint, signed
from audit.domain.merkle import Frontier, Node, leaf_hash
from services.audit.tests.application.signing import Seal

SEAL, THIEF = Seal(), Seal(public=b"x" * 32)
LEVEL = 2  # four records to a chunk
SIZE = 22


@dataclass
class Files:
    """A log that lies open: 22 records, signed at 5, 12 and 22."""

    rows_: list[Row] = field(default_factory=list)
    kept: dict[Node, bytes] = field(default_factory=dict)
    notes: list[Kept] = field(default_factory=list)

    def rows(self, first: int, last: int) -> Iterable[Row]:
        return [row for row in self.rows_ if first <= row.seq < last]

    def nodes(self, level: int, first: int, last: int) -> bytes | None:
        return b"".join(self.kept.get((level, index), b"") for index in range(first, last))

    def chunks(self, spans: Sequence[tuple[int, int]], sizes: Sequence[int]) -> Iterable[Chunk]:
        return (check(self, *span, sizes) for span in spans)

    def report(self) -> Report:
        extent = Extent(max((row.seq + 1 for row in self.rows_), default=0), len(self.kept))
        return verify("acme", self, extent, self.notes, SEAL, self.chunks, LEVEL)

    def findings(self) -> Sequence[Finding]:
        return self.report().findings


def written(records: Sequence[bytes], *sizes: int, seal: Seal = SEAL) -> Files:
    leaves = [leaf_hash(record) for record in records]
    rows = [Row(seq, b"at %d:" % seq, leaves[seq], record) for seq, record in enumerate(records)]
    notes = [note(leaves, size, seal) for size in sizes]
    return Files(rows, dict(Frontier().grown(leaves)[1]), notes)


def note(leaves: Sequence[bytes], size: int, seal: Seal = SEAL) -> Kept:
    root = Frontier().grown(leaves[:size])[0].root
    text = signed(Checkpoint("audit.example/acme", size, root), seal)
    return Kept(f"row {size}", text, size, root)


RECORDS = [b"at %d: record" % seq for seq in range(SIZE)]


@pytest.fixture
def log() -> Files:
    return written(RECORDS, 5, 12, SIZE)


def test_a_log_as_it_was_written_has_nothing_wrong(log: Files) -> None:
    report = log.report()

    assert report.findings == []
    assert (report.size, report.checkpoints) == (SIZE, 3)
    assert report.root == log.notes[-1].root


def test_logs_of_every_size_have_nothing_wrong() -> None:
    for size in range(20):
        assert written(RECORDS[:size], *range(1, size + 1)).findings() == []


def test_a_verifier_needs_no_hashes_of_subtrees_but_checks_those_that_are_kept(log: Files) -> None:
    log.nodes = lambda level, first, last: None  # type: ignore[method-assign]  # as in an export

    assert log.findings() == []


def change(log: Files, seq: int, **fields: bytes) -> None:
    log.rows_[seq] = log.rows_[seq]._replace(**fields)  # type: ignore[arg-type]  # bytes only


Attack = Callable[[Files], object]
RECORD_CHANGED: list[tuple[Attack, Finding]] = [
    (
        lambda log: change(log, 9, record=b"at 9: forged"),
        Finding(9, "its record does not hash to its leaf"),
    ),
    (
        lambda log: change(log, 9, leaf=bytes(32)),
        Finding(9, "its record does not hash to its leaf"),
    ),
    (
        lambda log: change(log, 9, place=b"at 8:"),
        Finding(9, "its row says that it is another event than its record does"),
    ),
    (lambda log: log.rows_.pop(9), Finding(9, "is missing")),
    (
        lambda log: log.kept.update({(1, 4): bytes(32)}),
        Finding(8, "the kept hash of records 8 to 9 is not theirs"),
    ),
    (
        lambda log: log.kept.update({(4, 0): bytes(32)}),
        Finding(0, "the kept hash of records 0 to 15 is not theirs"),
    ),
    (
        lambda log: log.kept.update({(2, 0): log.kept[2, 0] + b"more"}),
        Finding(0, "the kept hash of records 0 to 3 is not theirs"),
    ),
    (
        lambda log: log.kept.update({(9, 0): bytes(32)}),
        Finding(SIZE, "1 hashes are kept of records that are not there"),
    ),
]


@pytest.mark.parametrize(("attack", "expected"), RECORD_CHANGED)
def test_whatever_is_changed_is_the_first_that_is_named(
    log: Files, attack: Attack, expected: Finding
) -> None:
    attack(log)

    assert log.findings()[0] == expected


def test_a_past_that_was_written_anew_is_named_from_the_last_checkpoint_that_fits() -> None:
    log = written([*RECORDS[:9], b"at 9: forged", *RECORDS[10:]])
    log.notes = written(RECORDS, 5, 12, SIZE).notes

    assert log.findings() == [
        Finding(5, "row 12: not the records 5 to 11 that are there"),
    ]


def test_a_log_that_was_cut_is_named() -> None:
    log = written(RECORDS[:12])
    log.notes = written(RECORDS, 5, 12, SIZE).notes

    assert log.findings() == [Finding(12, "row 22: 22 records were signed, 12 are there")]


def test_a_log_that_is_gone_is_named() -> None:
    log = Files(notes=written(RECORDS, 5).notes)

    assert log.findings() == [Finding(0, "row 5: 5 records were signed, 0 are there")]


def test_two_roots_for_one_size_are_a_fork(log: Files) -> None:
    forged = [leaf_hash(record) for record in [*RECORDS[:9], b"forged", *RECORDS[10:]]]
    log.notes.append(replace(note(forged, 12), where="a witness"))

    assert log.findings() == [
        Finding(5, "a witness: not the records 5 to 11 that are there"),
        Finding(5, "row 12 and a witness: two roots were signed for 12 records"),
    ]


def test_notes_of_one_size_that_agree_are_no_fork(log: Files) -> None:
    log.notes.append(replace(log.notes[1], where="a witness", size=None, root=None))

    assert log.findings() == []


def test_a_note_of_another_key_of_another_log_or_beside_another_row_is_named(log: Files) -> None:
    leaves = [row.leaf for row in log.rows_]
    other = signed(Checkpoint("audit.example/globex", 5, log.notes[0].root or b""), SEAL)
    log.notes = [
        note(leaves, 5, THIEF),
        Kept("row 6", other),
        replace(log.notes[1], size=11),
        replace(log.notes[2], root=bytes(32)),
    ]

    assert log.findings() == [
        Finding(0, "row 12: the row is not what the note says"),
        Finding(0, "row 22: the row is not what the note says"),
        Finding(0, "row 5: it is not signed by audit.example with this key"),
        Finding(0, "row 6: it is of audit.example/globex"),
    ]
