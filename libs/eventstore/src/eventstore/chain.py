"""The hash chain and the shard of a stream, computed as `es.append` computes them."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Protocol
from uuid import UUID

SHARDS = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Link(Protocol):
    """What the hash of an event covers: everything that is stored of it."""

    @property
    def log(self) -> str: ...
    @property
    def shard(self) -> int: ...
    @property
    def pos(self) -> int: ...
    @property
    def tenant(self) -> str: ...
    @property
    def stream(self) -> UUID: ...
    @property
    def ver(self) -> int: ...
    @property
    def event_id(self) -> UUID: ...
    @property
    def type(self) -> str: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def data(self) -> bytes: ...
    @property
    def meta(self) -> bytes: ...


def shard_of(tenant: str, stream: UUID) -> int:
    return sha256(tenant.encode() + stream.bytes).digest()[0] % SHARDS


def genesis(log: str, shard: int) -> bytes:
    """The hash before the first event of a shard."""
    return sha256(f"bayline.es.v1|{log}|{shard}".encode()).digest()


def hash_of(link: Link, previous: bytes) -> bytes:
    """The hash of an event whose predecessor in (log, shard) has the hash `previous`."""
    return sha256(
        b"".join(
            (
                previous,
                _prefixed(link.log),
                link.shard.to_bytes(2, "big"),
                link.pos.to_bytes(8, "big"),
                _prefixed(link.tenant),
                link.stream.bytes,
                link.ver.to_bytes(4, "big"),
                link.event_id.bytes,
                _prefixed(link.type),
                microseconds(link.occurred_at).to_bytes(8, "big", signed=True),
                microseconds(link.recorded_at).to_bytes(8, "big", signed=True),
                sha256(link.data).digest(),
                sha256(link.meta).digest(),
            )
        )
    ).digest()


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _prefixed(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded
