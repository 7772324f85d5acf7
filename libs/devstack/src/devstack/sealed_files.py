"""Files that only one key opens: AES-256-GCM in chunks, whose order and end are sealed with them."""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

CHUNK = 1 << 18
TAG = 16
SALT = 16
COST = 1 << 17  # of each guess: 128 MiB of memory


class NotAsSealed(Exception):
    """The file was changed, cut off or put in another's place, or this is not its key."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """Out of a passphrase and a salt that is used once: so no two backups share a key."""

    key: bytes

    @classmethod
    def derived(cls, passphrase: bytes, salt: bytes) -> "SealingKey":
        return cls(Scrypt(salt=salt, length=32, n=COST, r=8, p=1).derive(passphrase))

    def seal(self, name: str, source: IO[bytes], target: IO[bytes]) -> None:
        """To the end of `source`; what is sealed under one name opens under that name only."""
        cipher = AESGCM(self._of(name))
        target.writelines(
            cipher.encrypt(_nonce(number, last=last), piece, None)
            for number, (piece, last) in enumerate(_pieces(source, CHUNK))
        )

    def opened(self, name: str, source: IO[bytes]) -> Iterator[bytes]:
        """Each chunk as soon as it is known to be authentic."""
        cipher = AESGCM(self._of(name))
        for number, (piece, last) in enumerate(_pieces(source, CHUNK + TAG)):
            try:
                yield cipher.decrypt(_nonce(number, last=last), piece, None)
            except InvalidTag as error:
                raise NotAsSealed(name) from error

    def mark(self, content: bytes) -> str:
        """What only the holder of the key can say of `content`, which stays readable."""
        return hmac.digest(self._of("mark"), content, sha256).hex()

    def _of(self, name: str) -> bytes:
        return HKDF(SHA256(), length=32, salt=None, info=name.encode()).derive(self.key)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _pieces(source: IO[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Each piece, and whether it is the last; an empty source is one empty piece."""
    piece = source.read(size)
    while following := source.read(size):
        yield piece, False
        piece = following
    yield piece, True
