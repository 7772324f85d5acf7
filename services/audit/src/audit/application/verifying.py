"""Everything recomputed: records, leaves, trees, and every checkpoint that was ever signed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, Protocol, TypeAlias

from audit.domain import merkle
from audit.domain.checkpoint import Checkpoint, NoteWrong, Verifier, opened, origin_of
from audit.domain.merkle import Frontier, leaf_hash, node_hash, root_of

CHUNK_LEVEL = 16
CHUNK = 1 << CHUNK_LEVEL  # records that are checked together: a complete subtree
HASH_BYTES = 32


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What is wrong, and the first record that it may concern."""

    seq: int
    what: str


class Row(NamedTuple):
    """A leaf as it is kept; `place` is how a record begins that belongs in this row."""

    seq: int
    place: bytes
    leaf: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A note, and where it was found; a row says beside it what it should be."""

    where: str
    note: str
    size: int | None = None
    root: bytes | None = None


class Log(Protocol):
    """One tenant's log, wherever it is."""

    def rows(self, first: int, last: int) -> Iterable[Row]:
        """In order of `seq`, from `first` up to `last`, the latter excluded."""
        ...

    def nodes(self, level: int, first: int, last: int) -> bytes | None:
        """Hashes of complete subtrees, one after the other; None where none are kept."""
        ...


@dataclass(frozen=True, slots=True)
class Extent:
    """How many records a log has, and how many hashes of subtrees it keeps."""

    size: int
    nodes: int

    @property
    def expected(self) -> int:
        return sum(self.size >> level for level in range(1, self.size.bit_length()))


@dataclass(frozen=True, slots=True)
class Chunk:
    """`at`: for some sizes of the log, what the chunk has of the right edge then."""

    first: int
    size: int
    findings: Sequence[Finding]
    at: Mapping[int, Sequence[bytes]]
    root: bytes


@dataclass(frozen=True, slots=True)
class Report:
    size: int
    root: bytes
    checkpoints: int
    findings: Sequence[Finding]


Span: TypeAlias = tuple[int, int]
Signed: TypeAlias = tuple[Kept, Checkpoint]
Chunks: TypeAlias = Callable[[Sequence[Span], Sequence[int]], Iterable[Chunk]]

MISSING = "is missing"
CHANGED = "its record does not hash to its leaf"
MOVED = "its row says that it is another event than its record does"


def verify(
    tenant: str,
    log: Log,
    extent: Extent,
    notes: Sequence[Kept],
    verifier: Verifier,
    chunks: Chunks,
    level: int = CHUNK_LEVEL,
) -> Report:
    """A whole log, and all notes found of it.

    `chunks` checks spans of `1 << level` records, wherever it likes, and answers in their order.
    """
    signed, findings = _signed(origin_of(verifier.name, tenant), notes, verifier)
    size, step = extent.size, 1 << level
    sizes = sorted({checkpoint.size for _, checkpoint in signed if checkpoint.size <= size})
    spans = [(first, min(first + step, size)) for first in range(0, size, step)]
    roots, above = {0: merkle.EMPTY}, Frontier()
    for chunk in chunks(spans, sizes):
        findings += chunk.findings
        for at, edge in chunk.at.items():
            roots[at] = root_of([*above.subtrees, *edge])
        if chunk.size < step:
            break
        above, completed = above.grown([chunk.root])
        findings += list(_of_tops(log, level, completed, {finding.seq for finding in findings}))
    findings += list(_against(signed, roots, size, findings))
    if extent.nodes > extent.expected:
        surplus = extent.nodes - extent.expected
        findings.append(Finding(size, f"{surplus} hashes are kept of records that are not there"))
    return Report(size, roots.get(size, b""), len(signed), sorted(set(findings)))


def check(log: Log, first: int, last: int, sizes: Sequence[int]) -> Chunk:
    """The records from `first` up to `last`, which begin a complete subtree."""
    findings: list[Finding] = []
    leaves: list[bytes] = []
    for row in log.rows(first, last):
        if row.seq != first + len(leaves):
            break
        leaf = leaf_hash(row.record)
        leaves.append(leaf)
        if leaf != row.leaf:
            findings.append(Finding(row.seq, CHANGED))
        if not row.record.startswith(row.place):
            findings.append(Finding(row.seq, MOVED))
    levels = _levels(leaves)
    findings += list(_of_nodes(log, first, levels, {finding.seq for finding in findings}))
    end = first + len(leaves)
    if end < last:
        findings.append(Finding(end, MISSING))
    inside = [size for size in sizes if first < size <= end] + [end]
    at = {size: _edge(levels, size - first) for size in inside}
    return Chunk(first, len(leaves), findings, at, root_of(at[end]))


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    """Hashes of the complete subtrees, level by level."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = iter(levels[-1])
        levels.append([node_hash(left, right) for left, right in zip(below, below, strict=False)])
    return levels


def _of_nodes(
    log: Log, first: int, levels: Sequence[Sequence[bytes]], known: set[int]
) -> Iterator[Finding]:
    for level, hashes in enumerate(levels[1:], 1):
        start = first >> level
        kept = log.nodes(level, start, start + len(hashes))
        if kept is None or kept == b"".join(hashes):
            continue
        differing = (i for i, each in enumerate(hashes) if each != _at(kept, i))
        index = next(differing, len(hashes) - 1)  # what follows the last is too much
        yield from _of_node(level, start + index, known)


def _of_tops(
    log: Log, level: int, completed: Sequence[tuple[merkle.Node, bytes]], known: set[int]
) -> Iterator[Finding]:
    """Subtrees of several chunks."""
    for (above, index), expected in completed:
        height = level + above
        if log.nodes(height, index, index + 1) not in {None, expected}:
            yield from _of_node(height, index, known)


def _of_node(level: int, index: int, known: set[int]) -> Iterator[Finding]:
    """Where something below it is wrong, a subtree says nothing more."""
    begin, end = index << level, (index + 1) << level
    if not any(begin <= seq < end for seq in known):
        known.add(begin)
        yield Finding(begin, f"the kept hash of records {begin} to {end - 1} is not theirs")


def _at(kept: bytes, index: int) -> bytes:
    return kept[index * HASH_BYTES : (index + 1) * HASH_BYTES]


def _edge(levels: Sequence[Sequence[bytes]], size: int) -> list[bytes]:
    return [levels[level][index] for level, index in merkle.cover((0, size))]


def _signed(
    origin: str, notes: Sequence[Kept], verifier: Verifier
) -> tuple[list[Signed], list[Finding]]:
    signed, findings = [], []
    for kept in notes:
        try:
            checkpoint = opened(kept.note, verifier)
        except NoteWrong as error:
            findings.append(Finding(0, f"{kept.where}: {error}"))
            continue
        if checkpoint.origin != origin:
            findings.append(Finding(0, f"{kept.where}: it is of {checkpoint.origin}"))
        elif (kept.size or checkpoint.size, kept.root or checkpoint.root) != (
            checkpoint.size,
            checkpoint.root,
        ):
            findings.append(Finding(0, f"{kept.where}: the row is not what the note says"))
        else:
            signed.append((kept, checkpoint))
    return signed, findings


def _against(
    signed: Sequence[Signed], roots: Mapping[int, bytes], size: int, known: Sequence[Finding]
) -> Iterator[Finding]:
    """Every checkpoint against the log as it is; the first that fails says where it begins to."""
    yield from _cut(signed, size)
    proved = 0
    for at, notes in groupby(sorted(signed, key=_size), key=_size):
        wrong = list(_disagreement(list(notes), proved, roots.get(at)))
        if wrong:
            seqs = [finding.seq for finding in known if proved <= finding.seq < at]
            yield from (Finding(min(seqs, default=proved), what) for what in wrong)
            return
        proved = at


def _cut(signed: Sequence[Signed], size: int) -> Iterator[Finding]:
    kept, longest = max(signed, key=_size, default=(None, None))
    if kept and longest and longest.size > size:
        yield Finding(size, f"{kept.where}: {longest.size} records were signed, {size} are there")


def _disagreement(notes: Sequence[Signed], proved: int, root: bytes | None) -> Iterator[str]:
    """Among notes of one size, and with the root that the log has at that size, if it has one."""
    (one, first), *others = notes
    for other, checkpoint in others:
        if checkpoint.root != first.root:
            yield f"{one.where} and {other.where}: two roots were signed for {first.size} records"
    for kept, checkpoint in notes:
        if root is not None and checkpoint.root != root:
            yield f"{kept.where}: not the records {proved} to {checkpoint.size - 1} that are there"


def _size(each: Signed) -> int:
    return each[1].size
