"""What a superuser of the database may try, and how the verifier names it."""

from collections.abc import Sequence

import pytest

from audit.adapters.keys import Ed25519Signer
from audit.application.verifying import Finding
from audit.domain.checkpoint import Checkpoint, signed
from audit.domain.merkle import Frontier, leaf_hash
from services.audit.tests.adapters.archive import SIGNER, Archive

pytestmark = pytest.mark.integration

THIEF = Ed25519Signer("audit.example", b"\x07" * 32)


def first(findings: Sequence[Finding]) -> int:
    assert findings
    return findings[0].seq


def said(findings: Sequence[Finding]) -> str:
    return "\n".join(finding.what for finding in findings)


async def test_a_log_that_nobody_touched_has_nothing_wrong(signed_archive: Archive) -> None:
    assert signed_archive.findings() == []
    assert signed_archive.findings("globex") == []


async def test_a_flipped_byte_in_a_record_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        """UPDATE audit.leaf SET record = set_byte(record, 200, get_byte(record, 200) # 1)
            WHERE tenant = 'acme' AND seq = 17"""
    )

    assert signed_archive.findings()[0] == Finding(17, "its record does not hash to its leaf")
    assert signed_archive.findings("globex") == []


async def test_a_flipped_byte_in_a_leaf_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        """UPDATE audit.leaf SET leaf = set_byte(leaf, 0, get_byte(leaf, 0) # 1)
            WHERE tenant = 'acme' AND seq = 21"""
    )

    assert signed_archive.findings() == [Finding(21, "its record does not hash to its leaf")]


async def test_a_flipped_byte_in_a_node_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        """UPDATE audit.node SET hash = set_byte(hash, 31, get_byte(hash, 31) # 1)
            WHERE tenant = 'acme' AND level = 2 AND idx = 3"""
    )

    assert signed_archive.findings() == [
        Finding(12, "the kept hash of records 12 to 15 is not theirs")
    ]


async def test_a_flipped_byte_in_a_checkpoint_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        """UPDATE audit.checkpoint SET root = set_byte(root, 0, get_byte(root, 0) # 1)
            WHERE tenant = 'acme' AND size = 30"""
    )

    assert said(signed_archive.findings()) == (
        "the checkpoint of 30 in the database: the row is not what the note says"
    )


async def test_a_changed_note_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        """UPDATE audit.checkpoint SET note = replace(note, E'\\n30\\n', E'\\n31\\n')
            WHERE tenant = 'acme' AND size = 30"""
    )

    assert "the checkpoint of 30 in the database: it is not signed" in said(
        signed_archive.findings()
    )


async def test_a_changed_column_is_named_though_no_hash_covers_it(signed_archive: Archive) -> None:
    signed_archive.attack(
        "UPDATE audit.leaf SET stream = uuidv7() WHERE tenant = 'acme' AND seq = 5"
    )

    assert signed_archive.findings() == [
        Finding(5, "its row says that it is another event than its record does")
    ]


async def test_a_deleted_record_is_named(signed_archive: Archive) -> None:
    signed_archive.attack("DELETE FROM audit.leaf WHERE tenant = 'acme' AND seq = 33")

    assert signed_archive.findings()[0] == Finding(33, "is missing")


async def test_a_deleted_record_whose_followers_moved_up_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        "ALTER TABLE audit.leaf DROP CONSTRAINT leaf_seq_check",
        "DELETE FROM audit.leaf WHERE tenant = 'acme' AND seq = 33",
        "UPDATE audit.leaf SET seq = -seq WHERE tenant = 'acme' AND seq > 33",
        "UPDATE audit.leaf SET seq = -seq - 1 WHERE tenant = 'acme' AND seq < 0",
    )

    findings = signed_archive.findings()
    assert Finding(32, "the kept hash of records 32 to 33 is not theirs") in findings
    assert "40 records were signed, 39 are there" in said(findings)


async def test_swapped_records_are_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        "ALTER TABLE audit.leaf DROP CONSTRAINT leaf_seq_check",
        "UPDATE audit.leaf SET seq = -1 WHERE tenant = 'acme' AND seq = 18",
        "UPDATE audit.leaf SET seq = 18 WHERE tenant = 'acme' AND seq = 25",
        "UPDATE audit.leaf SET seq = 25 WHERE tenant = 'acme' AND seq = -1",
    )

    assert first(signed_archive.findings()) == 18


async def test_swapped_records_are_named_even_when_all_hashes_were_made_to_fit(
    signed_archive: Archive,
) -> None:
    signed_archive.attack(
        "ALTER TABLE audit.leaf DROP CONSTRAINT leaf_seq_check",
        "UPDATE audit.leaf SET seq = -1 WHERE tenant = 'acme' AND seq = 18",
        "UPDATE audit.leaf SET seq = 18 WHERE tenant = 'acme' AND seq = 25",
        "UPDATE audit.leaf SET seq = 25 WHERE tenant = 'acme' AND seq = -1",
    )
    rehash(signed_archive)

    findings = signed_archive.findings()
    assert first(findings) == 13
    assert "not the records 13 to 29 that are there" in said(findings)


@pytest.mark.parametrize("lost", [1, 10, 27, 40])
async def test_a_cut_log_is_named_by_what_was_anchored(signed_archive: Archive, lost: int) -> None:
    left = 40 - lost
    signed_archive.attack(
        "DELETE FROM audit.leaf WHERE tenant = 'acme' AND seq >= %(left)s",
        "DELETE FROM audit.node WHERE tenant = 'acme' AND (idx + 1) << level > %(left)s",
        "DELETE FROM audit.checkpoint WHERE tenant = 'acme' AND size > %(left)s",
        left=left,
    )

    assert signed_archive.findings(anchored=False) == []
    assert signed_archive.findings() == [
        Finding(left, f"line 4 of the file: 40 records were signed, {left} are there")
    ]


async def test_a_log_that_was_hashed_anew_is_named_at_the_first_checkpoint_that_fails(
    signed_archive: Archive,
) -> None:
    forge(signed_archive, 17)
    rehash(signed_archive)

    findings = signed_archive.findings()
    assert first(findings) == 13
    assert "not the records 13 to 29 that are there" in said(findings)


async def test_a_log_that_was_hashed_anew_and_signed_with_another_key_is_named(
    signed_archive: Archive,
) -> None:
    forge(signed_archive, 17)
    resign(signed_archive, THIEF)

    findings = signed_archive.findings(anchored=False)
    assert len(findings) == 3
    assert "it is not signed by audit.example with this key" in said(findings)


async def test_a_log_that_was_signed_anew_with_the_stolen_key_is_a_fork(
    signed_archive: Archive,
) -> None:
    forge(signed_archive, 17)
    resign(signed_archive, SIGNER)

    assert signed_archive.findings(anchored=False) == []
    findings = signed_archive.findings()
    assert "two roots were signed for 30 records" in said(findings)
    assert "not the records 13 to 29 that are there" in said(findings)


async def test_a_record_moved_to_another_tenant_is_named_in_both(signed_archive: Archive) -> None:
    signed_archive.attack(
        "UPDATE audit.leaf SET tenant = 'globex', seq = 8 WHERE tenant = 'acme' AND seq = 20"
    )

    assert signed_archive.findings()[0] == Finding(20, "is missing")
    assert signed_archive.findings("globex")[0] == Finding(
        8, "its row says that it is another event than its record does"
    )


async def test_a_checkpoint_of_another_tenant_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        """UPDATE audit.checkpoint SET note = (
              SELECT note FROM audit.checkpoint WHERE tenant = 'globex' AND size = 8)
            WHERE tenant = 'acme' AND size = 30"""
    )

    assert "it is of audit.example/globex" in said(signed_archive.findings())


async def test_hashes_of_records_that_are_not_there_are_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        "INSERT INTO audit.node VALUES ('acme', 7, 0, sha256('')), ('acme', 6, 0, sha256(''))"
    )

    assert signed_archive.findings() == [
        Finding(40, "2 hashes are kept of records that are not there")
    ]


async def test_a_tenant_whose_whole_log_is_gone_is_named(signed_archive: Archive) -> None:
    signed_archive.attack(
        "DELETE FROM audit.leaf WHERE tenant = 'globex'",
        "DELETE FROM audit.node WHERE tenant = 'globex'",
        "DELETE FROM audit.anchor WHERE tenant = 'globex'",
        "DELETE FROM audit.checkpoint WHERE tenant = 'globex'",
        "DELETE FROM audit.log WHERE tenant = 'globex'",
    )

    assert "8 records were signed, 0 are there" in said(signed_archive.findings("globex"))


def forge(archive: Archive, seq: int) -> None:
    """Another payload of the same length, in the record alone."""
    archive.attack(
        """UPDATE audit.leaf SET record = overlay(record PLACING 'forged!'::bytea
              FROM octet_length(record) - 6) WHERE tenant = 'acme' AND seq = %(seq)s""",
        seq=seq,
    )


def rehash(archive: Archive) -> Frontier:
    """All leaves and nodes as an honest log would have them. Returns the tree."""
    records = archive.rows("SELECT record FROM audit.leaf WHERE tenant = 'acme' ORDER BY seq")
    leaves = [leaf_hash(record) for (record,) in records]
    frontier, completed = Frontier().grown(leaves)
    for seq, leaf in enumerate(leaves):
        archive.attack(
            "UPDATE audit.leaf SET leaf = %(leaf)s WHERE tenant = 'acme' AND seq = %(seq)s",
            leaf=leaf,
            seq=seq,
        )
    for (level, idx), content in completed:
        archive.attack(
            """UPDATE audit.node SET hash = %(hash)s
                WHERE tenant = 'acme' AND level = %(level)s AND idx = %(idx)s""",
            hash=content,
            level=level,
            idx=idx,
        )
    return frontier


def resign(archive: Archive, signer: Ed25519Signer) -> None:
    """Rewrites history whole: leaves, nodes, and all checkpoints with this key."""
    rehash(archive)
    records = archive.rows("SELECT record FROM audit.leaf WHERE tenant = 'acme' ORDER BY seq")
    leaves = [leaf_hash(record) for (record,) in records]
    for size in (13, 30, 40):
        root = Frontier().grown(leaves[:size])[0].root
        note = signed(Checkpoint("audit.example/acme", size, root), signer)
        archive.attack(
            """UPDATE audit.checkpoint SET root = %(root)s, note = %(note)s
                WHERE tenant = 'acme' AND size = %(size)s""",
            root=root,
            note=note,
            size=size,
        )
