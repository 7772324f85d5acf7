from pathlib import Path

import psycopg
import pytest

from audit.adapters.anchors import (
    TOPIC,
    AnchorUnreadable,
    FileAnchor,
    TopicAnchor,
    kept_in,
    kept_on_topic,
)
from audit.adapters.files import export, verify_exported
from audit.adapters.keys import Ed25519Signer
from audit.application.tiles import Tile
from audit.application.verifying import Finding
from kernel.clock import SystemClock
from services.audit.tests.adapters.archive import SIGNER, Archive
from testkit.servers import KafkaServer
from testkit.topics import topics

pytestmark = pytest.mark.integration

STOLEN = Ed25519Signer(SIGNER.name, b"\x07" * 32)


async def test_the_file_keeps_every_checkpoint_and_a_new_process_remembers_the_last(
    signed_archive: Archive,
) -> None:
    sizes = [
        kept.note.splitlines()[1]
        for tenant, kept in kept_in(signed_archive.anchor)
        if tenant == "acme"
    ]

    remembered = FileAnchor.read(signed_archive.anchor, SIGNER.verifier(), SystemClock())

    assert sizes == ["13", "30", "40"]
    latest = remembered.latest("acme")
    assert latest is not None
    assert latest.size == 40
    assert remembered.latest("nobody") is None


async def test_a_service_does_not_start_on_an_anchor_that_its_key_did_not_sign(
    signed_archive: Archive,
) -> None:
    with pytest.raises(AnchorUnreadable, match="with this key"):
        FileAnchor.read(signed_archive.anchor, STOLEN.verifier(), SystemClock())


async def test_a_line_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.ndjson"
    file.write_text("torn")

    with pytest.raises(AnchorUnreadable, match="line 1"):
        FileAnchor.read(file, SIGNER.verifier(), SystemClock())


async def test_a_log_that_was_cut_gets_no_new_checkpoint_even_after_a_restart(
    signed_archive: Archive,
) -> None:
    signed_archive.attack(
        "DELETE FROM audit.leaf WHERE tenant = 'acme' AND seq >= 20",
        "DELETE FROM audit.node WHERE tenant = 'acme' AND (idx + 1) << level > 20",
        "DELETE FROM audit.checkpoint WHERE tenant = 'acme' AND size > 20",
    )
    await signed_archive.sequence(signed_archive.happened(2))

    notary = await signed_archive.sign()

    assert notary.refused == {"acme": "it has 22 records, and 40 were signed"}


async def test_a_log_whose_hashes_are_gone_gets_no_new_checkpoint(signed_archive: Archive) -> None:
    signed_archive.attack("DELETE FROM audit.node WHERE tenant = 'acme' AND level = 5")
    with pytest.raises(Exception, match="has lost the hash"):
        await signed_archive.sequence(signed_archive.happened(2))
    signed_archive.attack(
        "UPDATE audit.checkpoint SET root = sha256('') WHERE tenant = 'globex'",
    )
    await signed_archive.sequence(signed_archive.happened(2, "globex"))

    notary = await signed_archive.sign()

    assert notary.refused == {"globex": "its first 8 records are not those that were signed"}


async def test_checkpoints_on_the_topic_are_witnesses(
    signed_archive: Archive, kafka_server: KafkaServer
) -> None:
    async with topics(kafka_server, TOPIC):
        anchored = await signed_archive.sign()
        async with TopicAnchor(kafka_server, SystemClock()) as topic:
            anchored.anchors = [topic]
            await anchored.anchor()
            await anchored.anchor()

        kept = await kept_on_topic(kafka_server)

    assert sorted((tenant, each.note) for tenant, each in kept) == sorted(
        (tenant, each.note) for tenant, each in kept_in(signed_archive.anchor)
    )
    receipts = signed_archive.rows("SELECT count(*) FROM audit.anchor WHERE kind = 'topic'")
    assert receipts == [(len(kept),)]


async def test_an_exported_log_is_verified_with_nothing_but_the_key(
    archive: Archive, tmp_path: Path
) -> None:
    for count in (250, 300, 17):
        await archive.sequence(archive.happened(count))
        await archive.sign()
    folder = tmp_path / "export"

    exported = export(archive.database.superuser_dsn, "acme", folder)

    report = verify_exported(folder, [], SIGNER.verifier())
    assert (exported, report.size, report.checkpoints, report.findings) == (567, 567, 3, [])
    assert (folder / "tile/0/000").stat().st_size == 256 * 32
    assert (folder / "tile/1/000.p/2").stat().st_size == 2 * 32
    changed = folder / Tile(None, 256, 256).path
    content = bytearray(changed.read_bytes())
    content[500] ^= 1
    changed.write_bytes(content)
    findings = verify_exported(folder, [], SIGNER.verifier()).findings
    assert findings[0].what == "its record does not hash to its leaf"
    assert 256 <= findings[0].seq < 512


async def test_an_export_of_a_past_that_was_written_anew_does_not_fit_what_was_kept(
    archive: Archive, tmp_path: Path
) -> None:
    await archive.sequence(archive.happened(5))
    await archive.sign()
    kept = [(tenant, note) for tenant, note in kept_in(archive.anchor)]
    with psycopg.connect(archive.database.superuser_dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM audit.checkpoint")
        connection.execute("DELETE FROM audit.leaf WHERE seq = 4")
    archive.anchor.unlink()
    await archive.sign()

    export(archive.database.superuser_dsn, "acme", tmp_path / "export")

    findings = verify_exported(tmp_path / "export", kept, SIGNER.verifier()).findings
    assert (
        Finding(4, "line 1 of checkpoints.ndjson: 5 records were signed, 4 are there") in findings
    )
