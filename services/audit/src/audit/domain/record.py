"""What a leaf is of: an event exactly as it was published, and where it stood."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

Headers: TypeAlias = Sequence[tuple[str, bytes]]

_LENGTH = struct.Struct(">I")
_FIXED = struct.Struct(">16sHQ16s16s")  # epoch, shard, pos, stream, event


class RecordUnreadable(Exception):
    """The bytes are no record."""


class Place(NamedTuple):
    """Whose event it is and where its store keeps it; UUIDs as 16 bytes."""

    tenant: str
    topic: str
    epoch: bytes
    shard: int
    pos: int
    stream: bytes
    event_id: bytes

    @property
    def encoded(self) -> bytes:
        """How the record begins: a row that says it is elsewhere contradicts its own record."""
        fixed = _FIXED.pack(self.epoch, self.shard, self.pos, self.stream, self.event_id)
        return _counted_text(self.tenant) + _counted_text(self.topic) + fixed


@dataclass(frozen=True, slots=True)
class Record:
    place: Place
    headers: Headers
    value: bytes

    @property
    def encoded(self) -> bytes:
        parts = [self.place.encoded, struct.pack(">H", len(self.headers))]
        for name, content in self.headers:
            parts += _counted_text(name), _LENGTH.pack(len(content)), content
        return b"".join((*parts, counted(self.value)))

    def header(self, name: str) -> bytes:
        return dict(self.headers).get(name, b"")


def read(encoded: bytes) -> Record:
    """Raises `RecordUnreadable`."""
    try:
        return _read(encoded)
    except (struct.error, ValueError) as error:
        raise RecordUnreadable(f"no record: {error}") from error


def counted(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


@lru_cache(1024)
def _counted_text(text: str) -> bytes:
    """All records have the same few tenants, topics and names of headers."""
    return counted(text.encode())


def _read(encoded: bytes) -> Record:
    tenant, at = _counted_at(encoded, 0)
    topic, at = _counted_at(encoded, at)
    epoch, shard, pos, stream, event_id = _FIXED.unpack_from(encoded, at)
    place = Place(tenant.decode(), topic.decode(), epoch, shard, pos, stream, event_id)
    (count,) = struct.unpack_from(">H", encoded, at + _FIXED.size)
    *headers, value = _rest(encoded, at + _FIXED.size + 2, 2 * count + 1)
    names = (name.decode() for name in headers[::2])
    return Record(place, tuple(zip(names, headers[1::2], strict=True)), value)


def _rest(encoded: bytes, at: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        content, at = _counted_at(encoded, at)
        yield content
    if at != len(encoded):
        raise ValueError("it goes on after its end")


def _counted_at(encoded: bytes, at: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(encoded, at)
    end = at + 4 + length
    if end > len(encoded):
        raise ValueError("it ends too early")
    return encoded[at + 4 : end], end
