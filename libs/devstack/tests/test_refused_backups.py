"""Backups that nobody can or should restore: each is refused before the first change."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from devstack import archives
from devstack.archives import MANIFEST, Archive, Manifest
from devstack.backup import backup
from devstack.failure import StackFailure
from devstack.passphrases import VARIABLE
from devstack.restore import restore
from devstack.sealed_files import SealingKey
from devstack.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
SECRET = "known to the tests"


@pytest.fixture(scope="module")
def good(stack: Stack, place: Path) -> Iterator[Path]:
    """A backup of a stack that was stopped since."""
    with pytest.MonkeyPatch.context() as here:
        here.setenv("BAYLINE_HOME", str(stack.parts.home))
        here.setenv("BAYLINE_PORT_OFFSET", str(stack.parts.environments.offset))
        here.setenv(VARIABLE, SECRET)
        stack.start("postgres", _ignore)
        backup(place / "good")
        stack.down(_ignore)
        yield place / "good"


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    copytree(good, tmp_path / "backup")
    return tmp_path / "backup"


SPOILT: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "there is none": (lambda folder: folder.rename(folder.with_name("moved")), "holds no backup"),
    "it has no manifest": (lambda folder: (folder / MANIFEST).unlink(), "holds no backup"),
    "a dump is missing": (
        lambda folder: (folder / "vehicle.dump.sealed").unlink(),
        r"vehicle\.dump\.sealed cannot be read",
    ),
    "a dump was cut off": (
        lambda folder: _cut(folder / "workshop.dump.sealed"),
        r"workshop\.dump\.sealed is not what",
    ),
    "its manifest was changed": (
        lambda folder: _said(folder, taken_at="yesterday"),
        "not the secret of",
    ),
    "it never had all databases": (
        lambda folder: _vouched(folder, lambda one: replace(one, files={})),
        r"lacks audit\.dump",
    ),
    "it is of an older format": (lambda folder: _said(folder, format=1), "has format 1"),
    "a newer release made it": (
        lambda folder: _vouched(
            folder, lambda one: replace(one, migrations={"audit": ["audit/migrations/9999_x.sql"]})
        ),
        "made by a newer release",
    ),
    "a newer PostgreSQL made it": (
        lambda folder: _vouched(folder, lambda one: replace(one, postgres=99)),
        "made by a newer release",
    ),
    "there is no room for it": (
        lambda folder: _vouched(folder, lambda one: replace(one, size=1 << 60)),
        "has room for",
    ),
    "its keys are another's": (
        lambda folder: _vouched(folder, lambda one: replace(one, kek="another")),
        "another key",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_backup_that_cannot_be_restored_is_refused_before_anything_changes(
    stack: Stack, folder: Path, what: str
) -> None:
    spoil, why = SPOILT[what]
    spoil(folder)
    before = _files(stack)

    with pytest.raises(StackFailure, match=why):
        restore(folder, none_erased=True)

    assert _files(stack) == before


def test_another_secret_opens_no_backup_and_changes_nothing(
    stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(stack)
    monkeypatch.setenv(VARIABLE, "known to others")

    with pytest.raises(StackFailure, match="not the secret of"):
        restore(folder, none_erased=True)

    assert _files(stack) == before


def test_a_list_of_erasures_that_is_none_is_refused_as_well(
    stack: Stack, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "erased.json").write_text('[{"subject": "technicians/1"}]')
    before = _files(stack)

    with pytest.raises(StackFailure, match="is no list of erasures"):
        restore(folder, erased=tmp_path / "erased.json")

    assert _files(stack) == before


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _said(folder: Path, **changed: object) -> None:
    """A manifest that nobody vouches for."""
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changed))


def _vouched(folder: Path, change: Callable[[Manifest], Manifest]) -> None:
    """A manifest as somebody writes it who has the secret."""
    manifest = archives.manifest_of(folder)
    salt = bytes.fromhex(manifest.salt)
    key = SealingKey.derived(SECRET.encode(), salt)
    Archive(folder, key, salt).write(change(manifest))


def _files(stack: Stack) -> dict[Path, tuple[int, int]]:
    """All that a stopped stack consists of, as far as anybody could have changed it."""
    assert stack.running() == {}
    found = {file: file.stat() for file in stack.parts.home.rglob("*") if file.is_file()}
    return {file: (stat.st_size, stat.st_mtime_ns) for file, stat in found.items()}


def _ignore(name: str, text: str) -> None:
    """These tests look at what is, not at what is said."""
