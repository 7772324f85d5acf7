"""Checkpoints as signed notes (C2SP tlog-checkpoint, signed-note): text that a person can keep."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote

ED25519 = b"\x01"
DASH = "\N{EM DASH} "


class NoteWrong(Exception):
    """No checkpoint that this key has signed."""


class Signer(Protocol):
    """Holds the key, wherever that is."""

    @property
    def name(self) -> str: ...
    @property
    def public(self) -> bytes:
        """32 bytes of Ed25519."""
        ...

    def sign(self, message: bytes) -> bytes: ...


class Verifier(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def public(self) -> bytes: ...
    def accepts(self, signature: bytes, message: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`origin` names the log: the same key signs those of all tenants."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


def origin_of(name: str, tenant: str) -> str:
    return f"{name}/{quote(tenant, safe='')}"


def key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """The public key as one line, to be kept apart from the log."""
    return f"{name}+{key_id(name, public).hex()}+{_base64(ED25519 + public)}"


def read_verifier_key(line: str) -> tuple[str, bytes]:
    """Name and public key. Raises `NoteWrong`."""
    name, _, rest = line.strip().partition("+")
    identity, _, key = rest.partition("+")
    public = _bytes(key).removeprefix(ED25519)
    if len(public) != 32 or key_id(name, public).hex() != identity:
        raise NoteWrong("this is no verifier key")
    return name, public


def signed(checkpoint: Checkpoint, signer: Signer) -> str:
    text = checkpoint.text
    signature = key_id(signer.name, signer.public) + signer.sign(text.encode())
    return f"{text}\n{DASH}{signer.name} {_base64(signature)}\n"


def opened(note: str, verifier: Verifier) -> Checkpoint:
    """What the key has signed. Signatures of others are left aside. Raises `NoteWrong`."""
    text, separator, signatures = note.partition("\n\n")
    text += "\n"
    if not separator:
        raise NoteWrong("it is not signed")
    if not any(_is_by(line, text, verifier) for line in signatures.splitlines()):
        raise NoteWrong(f"it is not signed by {verifier.name} with this key")
    return _read(text.splitlines())


def _is_by(line: str, text: str, verifier: Verifier) -> bool:
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or name != verifier.name:
        return False
    signature = _bytes(encoded)
    ours = signature[:4] == key_id(verifier.name, verifier.public)
    return ours and verifier.accepts(signature[4:], text.encode())


def _read(lines: Sequence[str]) -> Checkpoint:
    try:
        origin, size, root, *_ = lines
        return Checkpoint(origin, int(size), _bytes(root))
    except ValueError as error:
        raise NoteWrong("it is no checkpoint") from error


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteWrong(f"{text[:20]!r} is not base64") from error
