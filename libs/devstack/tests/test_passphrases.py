from pathlib import Path

import pytest

from devstack.failure import StackFailure
from devstack.passphrases import SHORTEST, VARIABLE, passphrase


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a backup would be; nobody has said how to open it."""
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "backups" / "monday"


def test_the_secret_is_what_stands_in_the_file(place: Path, tmp_path: Path) -> None:
    file = _file(tmp_path / "key", "from a file, first\n")

    assert passphrase(file, place, new=True) == b"from a file, first"


def test_or_in_the_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "from the environment")

    assert passphrase(None, place, new=True) == b"from the environment"


def test_a_script_that_names_none_is_told_how(place: Path) -> None:
    with pytest.raises(StackFailure, match="--key-file"):
        passphrase(None, place, new=True)


@pytest.mark.parametrize("beside", ["key", "monday/key"])
def test_a_key_is_not_kept_beside_its_backup(place: Path, beside: str) -> None:
    file = _file(place.parent / beside, "long enough, and close by")

    with pytest.raises(StackFailure, match="beside the backup"):
        passphrase(file, place, new=True)


def test_but_who_has_both_in_one_place_may_restore(place: Path) -> None:
    file = _file(place.parent / "key", "long enough, and close by")

    assert passphrase(file, place, new=False) == b"long enough, and close by"


def test_a_key_that_others_may_read_is_none(place: Path, tmp_path: Path) -> None:
    file = _file(tmp_path / "key", "long enough, and seen by all", mode=0o640)

    with pytest.raises(StackFailure, match="others may read"):
        passphrase(file, place, new=True)


def test_a_key_that_is_not_there_is_named(place: Path, tmp_path: Path) -> None:
    with pytest.raises(StackFailure, match="nowhere cannot be read"):
        passphrase(tmp_path / "nowhere", place, new=True)


def test_a_new_secret_is_long_enough(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "x" * SHORTEST)
    assert passphrase(None, place, new=True)

    monkeypatch.setenv(VARIABLE, "x" * (SHORTEST - 1))
    with pytest.raises(StackFailure, match="at least 12"):
        passphrase(None, place, new=True)


def _file(file: Path, text: str, mode: int = 0o600) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file
