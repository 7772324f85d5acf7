"""A backup on disk: files that its key seals, and a manifest that the key vouches for."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import IO

from devstack.failure import StackFailure
from devstack.sealed_files import SALT, NotAsSealed, SealingKey

FORMAT = 2
MANIFEST = "manifest.json"
KEYS = "keys.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Readable by everybody; `mark` is what the key says of all the rest.

    `files`: the SHA-256 of each, as it is sealed. `kek`: a fingerprint of the key without which
    persons stay sealed. `size`: of the databases, in bytes, once they are restored.
    """

    format: int
    taken_at: str
    postgres: int  # major version
    size: int
    events: Mapping[str, int]  # by store
    epochs: Mapping[str, str]
    migrations: Mapping[str, list[str]]  # by database
    files: Mapping[str, str]
    kek: str
    salt: str
    mark: str = ""

    def marked(self, key: SealingKey) -> "Manifest":
        rest = json.dumps(asdict(replace(self, mark="")), sort_keys=True)
        return replace(self, mark=key.mark(rest.encode()))


@dataclass(frozen=True, slots=True)
class Archive:
    """`folder` is absolute: whoever reads it may work elsewhere."""

    folder: Path
    key: SealingKey
    salt: bytes

    def seal(self, name: str, source: IO[bytes]) -> None:
        with sealed(self.folder, name).open("wb") as target:
            self.key.seal(name, source, target)
            target.flush()
            os.fsync(target.fileno())

    def opened(self, name: str) -> Iterator[bytes]:
        """The content, chunk by chunk."""
        with sealed(self.folder, name).open("rb") as source:
            try:
                yield from self.key.opened(name, source)
            except NotAsSealed as error:
                raise StackFailure(f"{source.name} is not what the backup wrote") from error

    def write(self, manifest: Manifest) -> Manifest:
        """Last of all: a folder without it is no backup."""
        known = manifest.marked(self.key)
        (self.folder / MANIFEST).write_text(json.dumps(asdict(known), indent=2))
        return known


def sealed(folder: Path, name: str) -> Path:
    return folder / f"{name}.sealed"


def dump_of(database: str) -> str:
    return f"{database}.dump"


def checksums(folder: Path) -> dict[str, str]:
    return {file.name: _checksum(file) for file in sorted(folder.iterdir())}


@contextmanager
def draft_of(folder: Path, passphrase: bytes) -> Iterator[Archive]:
    """Becomes `folder` when the block ends, and nothing at all when it fails."""
    salt = os.urandom(SALT)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Path(mkdtemp(prefix=f".{folder.name}-", suffix=".draft", dir=folder.parent))
    except OSError as error:
        raise StackFailure(f"{folder.parent} cannot be written: {error.strerror}") from error
    try:
        yield Archive(draft, SealingKey.derived(passphrase, salt), salt)
        draft.rename(folder)
    except OSError as error:
        raise StackFailure(
            f"the backup cannot be written to {folder}: {error.strerror}",
            hint="nothing of it is left there; name a folder on another disk, or make room",
        ) from error
    finally:
        rmtree(draft, ignore_errors=True)


def manifest_of(folder: Path) -> Manifest:
    """As it stands there: nobody vouches for it yet."""
    try:
        said = json.loads((folder / MANIFEST).read_text())
        if said["format"] == FORMAT:
            return Manifest(**said)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StackFailure(f"{folder} holds no backup: {error}") from error
    raise StackFailure(
        f"{folder} has format {said['format']}, this release reads {FORMAT}",
        hint="restore it with the release that made it",
    )


def checked(folder: Path, manifest: Manifest, passphrase: bytes) -> Archive:
    """Every byte of it is what was written by whoever knows the secret."""
    archive = Archive(folder, SealingKey.derived(passphrase, _salt(manifest)), _salt(manifest))
    if manifest.marked(archive.key) != manifest:
        raise StackFailure(
            f"this is not the secret of {folder}, or its {MANIFEST} was changed",
            hint="each backup is opened by the secret that it was made with",
        )
    for name, expected in manifest.files.items():
        _check(folder / name, expected)
    return archive


def _salt(manifest: Manifest) -> bytes:
    try:
        return bytes.fromhex(manifest.salt)
    except ValueError as error:
        raise StackFailure(f"the {MANIFEST} of the backup was changed") from error


def _check(file: Path, expected: str) -> None:
    try:
        if _checksum(file) == expected:
            return
    except OSError as error:
        raise StackFailure(f"{file} cannot be read: {error.strerror}") from error
    raise StackFailure(f"{file} is not what the backup wrote")


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        digest = sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
