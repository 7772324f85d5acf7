import base64
import io
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
import pytest
from google.protobuf.message import Message
from psycopg.types.json import Jsonb

from bayline.event.v1.metadata_pb2 import Metadata
from bayline.keyring.v1.subject_pb2 import SubjectEvent, SubjectForgotten
from devstack import archives
from devstack.archives import MANIFEST, Archive, Manifest
from devstack.backup import backup
from devstack.consumers import progress, stores
from devstack.erasures import Erasure, apply, document, recorded
from devstack.failure import StackFailure
from devstack.passphrases import VARIABLE
from devstack.postgres import Server
from devstack.restore import restore
from devstack.sealed_files import SealingKey
from devstack.snapshots import one_instant
from devstack.stack import Stack
from devstack.whereabouts import whereabouts
from kernel.ids import Uuid7

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
SECRET = "known to the tests"
LOG = "bayline.workshop.v1.JobEvent"
FOLLOW = """
INSERT INTO consumer.cursor (name, log, shard, pos, hash)
SELECT %s, log, shard, pos + %s, '' FROM jsonb_to_record(%s) AS at(log text, shard int, pos int)"""


@pytest.fixture(autouse=True)
def running(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("BAYLINE_HOME", str(stack.parts.home))
    monkeypatch.setenv("BAYLINE_PORT_OFFSET", str(stack.parts.environments.offset))
    monkeypatch.setenv(VARIABLE, SECRET)
    stack.start("postgres", _ignore)
    return stack


def test_a_restore_brings_back_what_was_there_under_a_new_epoch(
    running: Stack, tmp_path: Path
) -> None:
    before, epoch = _append(running), _epoch(running)
    backup(tmp_path / "backup")
    after, anchor = _append(running), running.parts.anchor()
    anchor.parent.mkdir(exist_ok=True)
    anchor.write_text("signed after the backup")
    running.down(_ignore)

    restore(tmp_path / "backup", none_erased=True)

    assert before in _events(running)
    assert after not in _events(running)
    assert _epoch(running) != epoch
    assert _relayed(running) == 0
    assert _append(running) in _events(running)
    assert [file.read_text() for file in anchor.parent.iterdir()] == ["signed after the backup"]
    assert not anchor.exists()


def test_whoever_was_forgotten_after_the_backup_is_forgotten_again(
    running: Stack, tmp_path: Path
) -> None:
    ada, eve = _somebody(running), _somebody(running)
    backup(tmp_path / "backup")
    erasure = _erasure(ada)
    _forget_person(running, erasure)
    running.down(_ignore)

    restore(tmp_path / "backup")

    assert _keys(running) == {ada: False, eve: True}
    assert _erased(running) == [erasure]
    _clear(running)


def test_a_stack_that_has_lost_its_keyring_is_told_who_was_forgotten(
    running: Stack, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, eve = _somebody(running), _somebody(running)
    backup(tmp_path / "backup", with_keys=True)
    erasure = _erasure(ada)
    (tmp_path / "erased.json").write_text(json.dumps(document([erasure])))
    other = Stack.beside(place / "lost")
    monkeypatch.setenv("BAYLINE_HOME", str(other.parts.home))
    monkeypatch.setenv("BAYLINE_PORT_OFFSET", str(other.parts.environments.offset))

    with pytest.raises(StackFailure, match="cannot know who was forgotten"):
        restore(tmp_path / "backup")
    assert _kek(other) != _kek(running)
    restore(tmp_path / "backup", erased=tmp_path / "erased.json")

    assert _kek(other) == _kek(running)
    assert _keys(other) == {ada: False, eve: True}
    assert _erased(other) == [erasure]
    other.down(_ignore)
    _clear(running)


def test_a_backup_is_not_written_over_another(tmp_path: Path) -> None:
    backup(tmp_path / "backup")

    with pytest.raises(StackFailure, match="exists already"):
        backup(tmp_path / "backup")


def test_a_backup_without_a_folder_lies_beside_the_home_folder(
    running: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    backup(as_json=True)

    folder = Path(json.loads(capsys.readouterr().out)["folder"])
    assert folder.parent == running.parts.home.with_name("home-backups")
    assert (folder / MANIFEST).exists()


def test_a_backup_is_not_put_where_it_is_erased_with_its_stack(running: Stack) -> None:
    with pytest.raises(StackFailure, match="goes when this stack is erased"):
        backup(running.parts.home / "backup")


def test_a_folder_is_meant_from_where_the_command_is_given(
    running: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = _append(running)
    backup(Path("backup"))
    running.down(_ignore)

    restore(Path("backup"), none_erased=True)

    assert before in _events(running)


def test_nothing_in_a_backup_can_be_read_without_its_secret(running: Stack, tmp_path: Path) -> None:
    person, kek = _somebody(running), _kek(running)
    backup(tmp_path / "backup", with_keys=True)

    everything = b"".join(file.read_bytes() for file in (tmp_path / "backup").iterdir())

    assert all(word.encode() not in everything for word in ("PGDMP", "acme", person, kek, SECRET))
    _clear(running)


def test_only_its_owner_enters_a_backup(tmp_path: Path) -> None:
    backup(tmp_path / "new" / "backup")

    assert {folder.stat().st_mode & 0o777 for folder in (tmp_path / "new").rglob("backup")} == {
        0o700
    }


def test_a_backup_that_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    with _no_file_grows_beyond(4096), pytest.raises(StackFailure, match="cannot be written to"):
        backup(tmp_path / "backup")

    assert list(tmp_path.iterdir()) == []
    assert [each for each in psutil.Process().children() if each.name() == "pg_dump"] == []


def test_a_restore_that_fails_has_changed_nothing_and_may_be_repeated(
    running: Stack, tmp_path: Path
) -> None:
    backup(tmp_path / "backup")
    backup(tmp_path / "broken", with_keys=True)
    after, kek = _append(running), _kek(running)
    _sealed_anew(tmp_path / "broken", "technician.dump", b"PGDMP, and then nothing")
    running.down(_ignore)

    with pytest.raises(StackFailure, match=r"pg_restore failed(.|\n)*Nothing was restored"):
        restore(tmp_path / "broken", none_erased=True)

    assert running.running() == {}
    running.start("postgres", _ignore)
    assert after in _events(running)
    assert _kek(running) == kek
    assert not any(name.endswith("_draft") for name in _databases(running))
    running.down(_ignore)
    restore(tmp_path / "backup", none_erased=True)
    assert after not in _events(running)


def test_a_stack_that_is_half_restored_does_not_start_until_that_is_ended(
    running: Stack, tmp_path: Path
) -> None:
    backup(tmp_path / "backup")
    _rename(running, "parked", "moved")
    backup(tmp_path / "broken")
    _rename(running, "moved", "parked")
    ada = _somebody(running)
    _forget_person(running, _erasure(ada))
    running.down(_ignore)

    with pytest.raises(StackFailure, match="half restored"):
        restore(tmp_path / "broken")
    with pytest.raises(StackFailure, match="was cut off"):
        running.up(_ignore)
    restore(tmp_path / "backup")

    assert [each.subject for each in _erased(running)] == [ada]
    assert not running.parts.restoring().exists()
    _clear(running)


def test_nothing_is_restored_into_a_stack_that_runs(running: Stack, tmp_path: Path) -> None:
    backup(tmp_path / "backup")

    with pytest.raises(StackFailure, match="postgres still run"):
        restore(tmp_path / "backup")


def test_a_backup_needs_the_key_that_sealed_its_persons(
    running: Stack, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup(tmp_path / "without")
    backup(tmp_path / "with", with_keys=True)
    other = Stack.beside(place / "other")
    monkeypatch.setenv("BAYLINE_HOME", str(other.parts.home))
    monkeypatch.setenv("BAYLINE_PORT_OFFSET", str(other.parts.environments.offset))

    with pytest.raises(StackFailure, match="another key"):
        restore(tmp_path / "without")
    restore(tmp_path / "with", none_erased=True)

    assert _events(other) == _events(running)
    other.down(_ignore)


def test_a_backup_says_what_it_holds(running: Stack, tmp_path: Path) -> None:
    backup(tmp_path / "backup")

    manifest = json.loads((tmp_path / "backup" / "manifest.json").read_text())
    assert manifest["events"]["workshop"] == len(_events(running))
    assert manifest["epochs"]["workshop"] == _epoch(running)
    assert set(manifest["files"]) == {
        f"{name}.dump.sealed" for name in ("workshop", "vehicle", "technician", "audit", "keyring")
    }


def test_a_script_reads_what_was_backed_up_and_restored(
    running: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup(tmp_path / "backup", as_json=True)
    backed_up = json.loads(capsys.readouterr().out)
    running.down(_ignore)

    restore(tmp_path / "backup", none_erased=True, as_json=True)

    restored = json.loads(capsys.readouterr().out)
    assert restored["events"] == backed_up["events"]
    assert restored["epochs"]["workshop"] == _epoch(running) != backed_up["epochs"]["workshop"]


def test_no_consumer_is_ahead_of_its_store_in_a_backup(running: Stack) -> None:
    """A cursor past the head can only be seen when the snapshots are not of one instant."""
    name = _follow(running, _append(running), 1)

    with pytest.raises(StackFailure, match="no common instant"), one_instant(_server(running)):
        pass

    _forget(running, name)
    with one_instant(_server(running)) as connections:
        assert set(connections) == {"workshop", "vehicle", "technician", "audit", "keyring"}


def test_lag_counts_what_a_consumer_has_not_read(running: Stack) -> None:
    name = _follow(running, _append(running), -1)

    with stores(_server(running)) as found:
        lines = {line.name: line for line in progress(found)}

    assert (lines[name].state, lines[name].lag_events) == ("running", 1)
    assert lines[name].lag_seconds >= 0
    assert lines["workshop.relay"].lag_events == len(_events(running))
    _forget(running, name)


def test_an_event_is_found_with_its_chain_and_its_readers(running: Stack) -> None:
    event_id = _append(running)
    behind, past = _follow(running, event_id, -1), _follow(running, event_id, 0)

    with stores(_server(running)) as found:
        where = whereabouts(found, event_id, lambda event: None)

    assert (where.event.log, where.event.ver, where.chain_holds) == (LOG, 1, True)
    assert (where.relayed, where.published) == (False, None)
    assert {(reader.name, reader.behind) for reader in where.readers} == {(behind, 1), (past, 0)}
    _forget(running, behind)
    _forget(running, past)


def _sealed_anew(folder: Path, name: str, content: bytes) -> None:
    manifest = archives.manifest_of(folder)
    archive = _archive(folder, manifest)
    archive.seal(name, io.BytesIO(content))
    (folder / MANIFEST).unlink()
    archive.write(replace(manifest, files=archives.checksums(folder)))


def _archive(folder: Path, manifest: Manifest) -> Archive:
    salt = bytes.fromhex(manifest.salt)
    return Archive(folder, SealingKey.derived(SECRET.encode(), salt), salt)


def _databases(stack: Stack) -> list[str]:
    with _superuser(stack, "postgres") as connection:
        return [name for (name,) in connection.execute("SELECT datname FROM pg_database")]


def _rename(stack: Stack, table: str, name: str) -> None:
    with _superuser(stack, "vehicle") as connection:
        connection.execute(f"ALTER TABLE consumer.{table} RENAME TO {name}".encode())


@contextmanager
def _no_file_grows_beyond(size: int) -> Iterator[None]:
    """What a full disk does, to this process alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _append(stack: Stack) -> UUID:
    """One event on a stream of its own."""
    event_id, stream = Uuid7().new(), Uuid7().new()
    with _superuser(stack, "workshop") as connection:
        connection.execute(
            "SELECT es.append(%s, 'acme', %s, 0, %s, '', %s::uuid[], '{T}', ARRAY[now()],"
            " ARRAY[''::bytea], ARRAY[''::bytea], '{}', '{}', '{}', '{}')",
            (LOG, stream, str(event_id), [event_id]),
        )
    return event_id


def _somebody(stack: Stack) -> str:
    """A person with a key."""
    name = f"technicians/{Uuid7().new()}"
    with _superuser(stack, "keyring") as connection:
        connection.execute("SELECT keyring.create('acme', %s, gen_random_uuid(), 'k')", [name])
    return name


def _erasure(name: str) -> Erasure:
    forgotten = SubjectForgotten(subject=name, reference="DPO-117")
    return Erasure(
        event_id=str(Uuid7().new()),
        tenant="acme",
        subject=name,
        reference="DPO-117",
        by="admin",
        at="2026-11-24 12:00:00+00",
        stream=name.partition("/")[2],
        type=SubjectForgotten.DESCRIPTOR.full_name,
        data=_base64(SubjectEvent(subject_forgotten=forgotten)),
        meta=_base64(Metadata(actor="admin")),
    )


def _base64(message: Message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _forget_person(stack: Stack, erasure: Erasure) -> None:
    with _superuser(stack, "keyring") as connection:
        apply(connection, [erasure])


def _erased(stack: Stack) -> list[Erasure]:
    with _superuser(stack, "keyring") as connection:
        connection.execute("SET timezone = 'UTC'")
        return recorded(connection)


def _keys(stack: Stack) -> dict[str, bool]:
    """Each subject, and whether it has a key."""
    with _superuser(stack, "keyring") as connection:
        query = "SELECT subject, wrapped IS NOT NULL FROM keyring.subject_key"
        return dict(connection.execute(query).fetchall())


def _clear(stack: Stack) -> None:
    """Other tests of this stack know of nobody."""
    with _superuser(stack, "keyring") as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("TRUNCATE keyring.subject_key")
        connection.execute("DELETE FROM es.event")


def _follow(stack: Stack, event_id: UUID, distance: int) -> str:
    """A consumer of the vehicle service that stands so far from the event."""
    name = f"vehicle.{Uuid7().new()}"
    with _superuser(stack, "workshop") as workshop:
        query = (
            "SELECT to_jsonb(e) FROM (SELECT log, shard, pos FROM es.event WHERE event_id = %s) e"
        )
        [at] = workshop.execute(query, [event_id]).fetchone() or (None,)
    with _superuser(stack, "vehicle") as vehicle:
        vehicle.execute("INSERT INTO consumer.status (name) VALUES (%s)", [name])
        vehicle.execute(FOLLOW, (name, distance, Jsonb(at)))
    return name


def _forget(stack: Stack, name: str) -> None:
    with _superuser(stack, "vehicle") as vehicle:
        vehicle.execute("DELETE FROM consumer.cursor WHERE name = %s", [name])
        vehicle.execute("DELETE FROM consumer.status WHERE name = %s", [name])


def _events(stack: Stack) -> list[UUID]:
    with _superuser(stack, "workshop") as connection:
        rows = connection.execute("SELECT event_id FROM es.event ORDER BY recorded_at")
        return [row[0] for row in rows.fetchall()]


def _epoch(stack: Stack) -> str:
    with _superuser(stack, "workshop") as connection:
        [epoch] = connection.execute("SELECT epoch::text FROM es.store").fetchone() or ("",)
        return str(epoch)


def _relayed(stack: Stack) -> int:
    with _superuser(stack, "workshop") as connection:
        [most] = connection.execute("SELECT max(pos) FROM es.relay_cursor").fetchone() or (None,)
        return int(most)


def _superuser(stack: Stack, database: str) -> psycopg.Connection:
    return psycopg.connect(_server(stack).dsn(database))


def _server(stack: Stack) -> Server:
    return stack.parts.environments.postgres


def _kek(stack: Stack) -> str:
    return stack.parts.environments.secrets.key("kek")


def _ignore(name: str, text: str) -> None:
    """These tests look at what is, not at what is said."""
