from pathlib import Path

from devstack.secrets import Secrets


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"

    assert Secrets(file).password("postgres") == Secrets(file).password("postgres")
    assert Secrets(file).key("kek") != Secrets(file).key("cursor")


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "secrets.json")

    secrets.password("postgres")

    assert secrets.file.stat().st_mode & 0o777 == 0o600


def test_keys_of_a_backup_replace_those_of_the_stack(tmp_path: Path) -> None:
    old, new = Secrets(tmp_path / "old.json"), Secrets(tmp_path / "new.json")
    kek, password = old.key("kek"), new.password("postgres")
    new.key("kek")

    new.adopt(old.keys())

    assert new.key("kek") == kek
    assert new.password("postgres") == password


def test_passwords_are_no_keys(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "secrets.json")
    secrets.password("postgres")
    secrets.signing_key()

    assert secrets.keys() == {}
