"""The Merkle tree of RFC 9162: its root, its growth, proofs and how they are checked.

Hashes of complete subtrees never change, so they alone are kept; everything else follows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

Node: TypeAlias = tuple[int, int]  # level and index: leaves [index << level, index + 1 << level)
Span: TypeAlias = tuple[int, int]  # leaves [first, last)

EMPTY = sha256(b"").digest()


class ProofWrong(Exception):
    """The proof does not lead from what is claimed to the root."""


class LogDamaged(Exception):
    """The log is not the one it was: `bayline audit verify` says where."""


def leaf_hash(record: bytes) -> bytes:
    return sha256(b"\x00" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root_of(subtrees: Sequence[bytes]) -> bytes:
    """Of the complete subtrees that make up a tree, from left to right."""
    if not subtrees:
        return EMPTY
    *others, root = subtrees
    for left in reversed(others):
        root = node_hash(left, root)
    return root


def cover(span: Span) -> list[Node]:
    """The complete subtrees that make up a span which is a tree or a branch of one."""
    first, last = span
    nodes = []
    while first < last:
        level = (last - first).bit_length() - 1
        nodes.append((level, first >> level))
        first += 1 << level
    return nodes


def hashes_of(spans: Sequence[Span], kept: Callable[[Node], bytes]) -> list[bytes]:
    return [root_of([kept(node) for node in cover(span)]) for span in spans]


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree's right edge: its complete subtrees, all that appending to it needs."""

    size: int = 0
    subtrees: tuple[bytes, ...] = ()

    @property
    def root(self) -> bytes:
        return root_of(self.subtrees)

    def grown(self, leaves: Sequence[bytes]) -> tuple["Frontier", list[tuple[Node, bytes]]]:
        """The tree with these leaves too, and the subtrees above leaves that are now complete."""
        size, subtrees, completed = self.size, list(self.subtrees), list[tuple[Node, bytes]]()
        for leaf in leaves:
            subtrees.append(leaf)
            size, level = size + 1, 1
            while size % (1 << level) == 0:
                right = subtrees.pop()
                subtrees[-1] = node_hash(subtrees[-1], right)
                completed.append(((level, (size >> level) - 1), subtrees[-1]))
                level += 1
        return Frontier(size, tuple(subtrees)), completed


def inclusion(index: int, size: int) -> list[Span]:
    """What the proof that leaf `index` is in the tree of `size` is made of; the leaf's side first."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    return [sibling for sibling, _ in _descent(index, size)][::-1]


def consistency(first: int, second: int) -> list[Span]:
    """What the proof that the tree of `first` begins the tree of `second` is made of."""
    if not 0 < first <= second:
        raise ValueError(f"a tree of {first} does not begin one of {second}")
    path, rest = list[Span](), (0, second)
    for sibling, branch in _descent(first - 1, second):
        if rest[1] == first:
            break
        path.append(sibling)
        rest = branch
    return [*([rest] if rest[0] else []), *reversed(path)]


def _descent(index: int, size: int) -> Iterator[tuple[Span, Span]]:
    """From the root down to a leaf: at each step the branch left aside and the one taken."""
    first, last = 0, size
    while last - first > 1:
        middle = first + (1 << (last - first - 1).bit_length() - 1)
        left, right = (first, middle), (middle, last)
        sibling, (first, last) = (right, left) if index < middle else (left, right)
        yield sibling, (first, last)


def check_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """RFC 9162, 2.1.3.2. Raises `ProofWrong`."""
    if not 0 <= index < size:
        raise ProofWrong(f"there is no leaf {index} in a tree of {size}")
    reached = leaf
    for sibling, is_left in _climb(index, size - 1, proof):
        reached = node_hash(sibling, reached) if is_left else node_hash(reached, sibling)
    if reached != root:
        raise ProofWrong(f"leaf {index} is not in the tree of {size}")


def check_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """RFC 9162, 2.1.4.2. Raises `ProofWrong`."""
    if not 0 < first <= second:
        raise ProofWrong(f"a tree of {first} does not begin one of {second}")
    if first == second:
        return _check_same(proof, first_root, second_root)
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        raise ProofWrong("the proof is empty")
    shift = (first & -first).bit_length() - 1  # the first tree's last complete subtree
    old = new = path[0]
    for sibling, is_left in _climb((first - 1) >> shift, (second - 1) >> shift, path[1:]):
        old = node_hash(sibling, old) if is_left else old
        new = node_hash(sibling, new) if is_left else node_hash(new, sibling)
    if (old, new) != (first_root, second_root):
        raise ProofWrong(f"the tree of {first} does not begin the tree of {second}")
    return None


def _check_same(proof: Sequence[bytes], first_root: bytes, second_root: bytes) -> None:
    if proof or first_root != second_root:
        raise ProofWrong("trees of one size have one root, and no proof is needed")


def _climb(index: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each sibling on the way to the root, and whether it is a left one."""
    for sibling in proof:
        if last == 0:
            raise ProofWrong("the proof is too long")
        is_left = index % 2 == 1 or index == last
        yield sibling, is_left
        while is_left and index % 2 == 0 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    if last:
        raise ProofWrong("the proof is too short")
