from collections.abc import Sequence
from hashlib import sha256

import pytest

from audit.domain.merkle import (
    EMPTY,
    Frontier,
    Node,
    ProofWrong,
    check_consistency,
    check_inclusion,
    consistency,
    hashes_of,
    inclusion,
    leaf_hash,
    node_hash,
)

MOST = 300
RECORDS = [str(number).encode() for number in range(MOST)]

# The vectors of the reference implementation of RFC 6962.
VECTORS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAF_1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
LEAVES_2_3 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
LEAVES_4_7 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
LEAF_4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LEAVES_4_5 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
LEAVES_6_7 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
LEAVES_0_3 = ROOTS[3]
INCLUSIONS = [
    (0, 1, ()),
    (0, 8, (LEAF_1, LEAVES_2_3, LEAVES_4_7)),
    (5, 8, (LEAF_4, LEAVES_6_7, LEAVES_0_3)),
    (2, 3, (ROOTS[1],)),
    (1, 5, (ROOTS[0], LEAVES_2_3, LEAF_4)),
]
CONSISTENCIES = [
    (1, 1, ()),
    (1, 8, (LEAF_1, LEAVES_2_3, LEAVES_4_7)),
    (6, 8, (LEAVES_4_5, LEAVES_6_7, LEAVES_0_3)),
    (2, 5, (LEAVES_2_3, LEAF_4)),
]


def tree(records: Sequence[bytes]) -> dict[Node, bytes]:
    """Every hash that a log of these records keeps."""
    leaves = [leaf_hash(record) for record in records]
    _, completed = Frontier().grown(leaves)
    return {(0, index): leaf for index, leaf in enumerate(leaves)} | dict(completed)


def root(records: Sequence[bytes]) -> bytes:
    """Straight from the definition: RFC 9162, 2.1.1."""
    if len(records) < 2:
        return leaf_hash(records[0]) if records else EMPTY
    middle = 1 << (len(records) - 1).bit_length() - 1
    return node_hash(root(records[:middle]), root(records[middle:]))


KEPT = tree(RECORDS)
TREE_OF = [root(RECORDS[:size]) for size in range(MOST + 1)]


def shown(hashes: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(each.hex() for each in hashes)


def test_an_empty_log_has_the_hash_of_nothing() -> None:
    assert Frontier().root == EMPTY == sha256(b"").digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference_implementation(size: int) -> None:
    frontier, _ = Frontier().grown([leaf_hash(record) for record in VECTORS[:size]])

    assert frontier.root.hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSIONS)
def test_inclusion_proofs_are_those_of_the_reference_implementation(
    index: int, size: int, expected: tuple[str, ...]
) -> None:
    proof = hashes_of(inclusion(index, size), tree(VECTORS).__getitem__)

    assert shown(proof) == expected
    check_inclusion(leaf_hash(VECTORS[index]), index, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("first", "second", "expected"), CONSISTENCIES)
def test_consistency_proofs_are_those_of_the_reference_implementation(
    first: int, second: int, expected: tuple[str, ...]
) -> None:
    proof = hashes_of(consistency(first, second), tree(VECTORS).__getitem__)

    assert shown(proof) == expected
    roots = (bytes.fromhex(ROOTS[size - 1]) for size in (first, second))
    check_consistency(first, second, proof, *roots)


def test_every_record_is_proved_in_every_size_up_to_300() -> None:
    for size in range(1, MOST + 1):
        for index in range(size):
            proof = hashes_of(inclusion(index, size), KEPT.__getitem__)
            check_inclusion(leaf_hash(RECORDS[index]), index, size, proof, TREE_OF[size])
            assert len(proof) <= size.bit_length()


def test_every_size_up_to_300_is_proved_to_begin_every_larger_one() -> None:
    for second in range(1, MOST + 1):
        for first in range(1, second + 1):
            proof = hashes_of(consistency(first, second), KEPT.__getitem__)
            check_consistency(first, second, proof, TREE_OF[first], TREE_OF[second])


def test_a_log_grown_in_any_steps_is_the_same_log() -> None:
    for step in (1, 2, 3, 7, 64, MOST):
        frontier, kept = Frontier(), dict[Node, bytes]()
        for at in range(0, MOST, step):
            leaves = [leaf_hash(record) for record in RECORDS[at : at + step]]
            frontier, completed = frontier.grown(leaves)
            kept |= completed
            assert frontier.root == TREE_OF[frontier.size]
        assert kept == {node: each for node, each in KEPT.items() if node[0] > 0}


def test_no_other_record_index_size_or_root_fits_a_proof() -> None:
    for size in range(2, 66):
        for index in range(size):
            proof = hashes_of(inclusion(index, size), KEPT.__getitem__)
            leaf = leaf_hash(RECORDS[index])
            for wrong in (
                (leaf_hash(b"forged"), index, size, proof, TREE_OF[size]),
                (leaf, index, size, proof, TREE_OF[size - 1]),
                (leaf, index, size, proof[:-1], TREE_OF[size]),
                (leaf, index, size, [*proof, leaf], TREE_OF[size]),
                (leaf, index, size, [leaf, *proof[1:]], TREE_OF[size]),
                (leaf, size, size, proof, TREE_OF[size]),
                (leaf, -1, size, proof, TREE_OF[size]),
            ):
                with pytest.raises(ProofWrong):
                    check_inclusion(*wrong)


def test_no_other_tree_fits_a_consistency_proof() -> None:
    other = tree([b"forged", *RECORDS[1:]])
    for second in range(1, 66):
        for first in range(1, second + 1):
            proof = hashes_of(consistency(first, second), KEPT.__getitem__)
            forged = hashes_of([(0, second)], other.__getitem__)[0]
            for wrong in (
                (first, second, proof, TREE_OF[first], forged),
                (first, second, proof, forged, TREE_OF[second]),
                (first, second, [*proof, forged], TREE_OF[first], TREE_OF[second]),
                (second + 1, second, proof, TREE_OF[first], TREE_OF[second]),
                (0, second, proof, TREE_OF[first], TREE_OF[second]),
            ):
                with pytest.raises(ProofWrong):
                    check_consistency(*wrong)


def test_a_consistency_proof_cannot_be_cut_short() -> None:
    for first, second in ((1, 2), (3, 4), (6, 8), (7, 9)):
        proof = hashes_of(consistency(first, second), KEPT.__getitem__)
        for length in range(len(proof)):
            with pytest.raises(ProofWrong):
                check_consistency(first, second, proof[:length], TREE_OF[first], TREE_OF[second])


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0)])
def test_there_is_no_proof_of_a_record_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion(index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 1), (0, 0)])
def test_there_is_no_proof_that_a_longer_log_begins_a_shorter_one(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="does not begin"):
        consistency(first, second)
