"""Opaque tokens: positions and cursors that clients carry and cannot read or make."""

import base64
import hashlib
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kernel.errors import InvalidArgument

NONCE_BYTES = 12
PLACE = struct.Struct(">Bq")


class PositionUnreadable(InvalidArgument):
    pass


class CursorUnreadable(InvalidArgument):
    pass


class PageTokenUnreadable(InvalidArgument):
    pass


class Purpose(StrEnum):
    """What a token is for; it is good for nothing else."""

    POSITION = "position"
    CURSOR = "cursor"
    PAGE_TOKEN = "page token"  # noqa: S105 -- it is what the token is for


UNREADABLE: Mapping[Purpose, type[InvalidArgument]] = {
    Purpose.POSITION: PositionUnreadable,
    Purpose.CURSOR: CursorUnreadable,
    Purpose.PAGE_TOKEN: PageTokenUnreadable,
}


class Place(NamedTuple):
    """Where an event stands in a store."""

    log: str
    shard: int
    pos: int


class Seals:
    """AES-GCM, bound to a purpose and a tenant. The first key seals; all of them open.

    A token starts with a byte that says which key: the first of the key's SHA-256.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {hashlib.sha256(key).digest()[0]: AESGCM(key) for key in reversed(keys)}
        self._current = hashlib.sha256(keys[0]).digest()[0]

    def seal(self, purpose: Purpose, tenant: str, plain: bytes) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._current].encrypt(nonce, plain, _bound_to(purpose, tenant))
        token = bytes([self._current]) + nonce + sealed
        return base64.urlsafe_b64encode(token).rstrip(b"=").decode()

    def open(self, purpose: Purpose, tenant: str, token: str) -> bytes:
        """Raises the purpose's error for what this tenant was not given for it."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            nonce, sealed = raw[1 : NONCE_BYTES + 1], raw[NONCE_BYTES + 1 :]
            return self._keys[raw[0]].decrypt(nonce, sealed, _bound_to(purpose, tenant))
        except (ValueError, LookupError, InvalidTag) as error:
            raise UNREADABLE[purpose](f"this {purpose} was not given out by us") from error

    def seal_places(self, tenant: str, places: Iterable[Place]) -> str:
        plain = b"".join(_packed(place) for place in places)
        return self.seal(Purpose.POSITION, tenant, plain)

    def open_places(self, tenant: str, tokens: str) -> tuple[Place, ...]:
        """Several tokens stand comma-separated: all of them are meant."""
        return tuple(
            place
            for token in tokens.split(",")
            for place in _unpacked(self.open(Purpose.POSITION, tenant, token.strip()))
        )


def _bound_to(purpose: Purpose, tenant: str) -> bytes:
    return f"{purpose}\0{tenant}".encode()


def _packed(place: Place) -> bytes:
    log = place.log.encode()
    return bytes([len(log)]) + log + PLACE.pack(place.shard, place.pos)


def _unpacked(plain: bytes) -> Iterable[Place]:
    start = 0
    while start < len(plain):
        end = start + 1 + plain[start]
        yield Place(plain[start + 1 : end].decode(), *PLACE.unpack_from(plain, end))
        start = end + PLACE.size
