"""What a leaf is of: an event exactly as it was published, and where it stood."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Headers: TypeAlias = Sequence[tuple[str, bytes]]

_FIXED = struct.Struct(">16sHQ16s16s")  # epoch, shard, pos, stream, event


class RecordUnreadable(Exception):
    """The bytes are no record."""


@dataclass(frozen=True, slots=True)
class Place:
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
        return counted(self.tenant.encode()) + counted(self.topic.encode()) + fixed


@dataclass(frozen=True, slots=True)
class Record:
    place: Place
    headers: Headers
    value: bytes

    @property
    def encoded(self) -> bytes:
        parts = [self.place.encoded, struct.pack(">H", len(self.headers))]
        for name, content in self.headers:
            parts += counted(name.encode()), counted(content)
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
    return struct.pack(">I", len(content)) + content


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
    (length,) = struct.unpack_from(">I", encoded, at)
    end = at + 4 + length
    if end > len(encoded):
        raise ValueError("it ends too early")
    return encoded[at + 4 : end], end
