"""The secret that opens backups: from a file, the environment or the keyboard, never an argument."""

import stat
import sys
from pathlib import Path

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from devstack.failure import StackFailure

VARIABLE = "BAYLINE_BACKUP_PASSPHRASE"
SHORTEST = 12
WHERE = f"name a file by --key-file, set {VARIABLE}, or type it at a terminal"


class Given(BaseSettings, frozen=True):
    bayline_backup_passphrase: SecretStr = SecretStr("")


def passphrase(key_file: Path | None, folder: Path, *, new: bool) -> bytes:
    """`new`: it is about to seal the backup in `folder`, so it must be good, and typed twice."""
    if key_file is not None:
        file = key_file.expanduser().resolve()
        if new:
            _check_apart(file, folder)
        found = _read(file)
    else:
        found = Given().bayline_backup_passphrase.get_secret_value() or _typed(new=new)
    if new and len(found) < SHORTEST:
        raise StackFailure(
            f"the secret of a backup has at least {SHORTEST} characters",
            hint="`openssl rand -base64 32` makes one",
        )
    return found.encode()


def _check_apart(file: Path, folder: Path) -> None:
    if file.is_relative_to(folder.parent):
        raise StackFailure(
            f"{file} lies beside the backup that it opens",
            hint="keep it elsewhere: who takes the one must not have the other",
        )


def _read(file: Path) -> str:
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise StackFailure(f"others may read {file}", hint=f"`chmod 600 {file}`")
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StackFailure(f"{file} cannot be read: {error}") from error


def _typed(*, new: bool) -> str:
    if not sys.stdin.isatty():
        raise StackFailure("a backup needs the secret that opens it", hint=WHERE)
    said = "Passphrase of the backup"
    return str(typer.prompt(said, hide_input=True, confirmation_prompt=new, err=True))
