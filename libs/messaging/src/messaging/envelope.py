"""One stored event on its way: the same value from Kafka (CloudEvents, binary mode) or a store."""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Protocol
from uuid import UUID

from bayline.event.v1.metadata_pb2 import Metadata

PARTITIONS = 16
SHARDS = 64
POSITIONS = 2**63

Headers = Sequence[tuple[str, bytes]]

UUID_TEXT = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Undecodable(Exception):
    """The bytes are not what their type says; trying again cannot help."""


class Row(Protocol):
    """An event as a store hands it out: the columns of `es.event`, the hash before it, the epoch."""

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
    @property
    def hash(self) -> bytes: ...
    @property
    def previous_hash(self) -> bytes: ...
    @property
    def epoch(self) -> str | UUID: ...


class Record(Protocol):
    """The part of a Kafka record that matters here."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True, slots=True)
class Envelope:
    topic: str
    shard: int
    pos: int
    tenant: str
    stream: str
    version: int
    event_id: str
    type: str
    occurred_at: datetime
    recorded_at: datetime
    data: bytes
    meta: bytes
    previous_hash: bytes
    epoch: str
    site: str = ""
    dataschema: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str = ""
    headers: Headers = field(default=(), compare=False, repr=False)  # as they came; none of a store

    @property
    def key(self) -> str:
        return f"{self.tenant}/{self.stream}"

    @property
    def partition(self) -> int:
        return partition_of(self.shard)

    @property
    def hash(self) -> bytes:
        """The chain after this event, computed anew from everything that the store hashed."""
        return sha256(
            self.previous_hash
            + _counted(self.topic)
            + struct.pack(">hq", self.shard, self.pos)
            + _counted(self.tenant)
            + _uuid_bytes(self.stream)
            + struct.pack(">i", self.version)
            + _uuid_bytes(self.event_id)
            + _counted(self.type)
            + struct.pack(">qq", _microseconds(self.occurred_at), _microseconds(self.recorded_at))
            + sha256(self.data).digest()
            + sha256(self.meta).digest()
        ).digest()


def partition_of(shard: int) -> int:
    return shard % PARTITIONS


def genesis(log: str, shard: int) -> bytes:
    """The chain before the first event of a shard."""
    return sha256(f"bayline.es.v1|{log}|{shard}".encode()).digest()


def envelope_from(row: Row) -> Envelope:
    meta = Metadata.FromString(row.meta)
    return Envelope(
        topic=row.log,
        shard=row.shard,
        pos=row.pos,
        tenant=row.tenant,
        stream=str(row.stream),
        version=row.ver,
        event_id=str(row.event_id),
        type=row.type,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        data=row.data,
        meta=row.meta,
        previous_hash=row.previous_hash,
        epoch=str(row.epoch),
        site=meta.site,
        dataschema=meta.dataschema,
        correlation_id=meta.correlation_id,
        causation_id=meta.causation_id,
        traceparent=meta.traceparent,
    )


def headers_of(envelope: Envelope) -> list[tuple[str, bytes]]:
    """All but `ce_storeepoch` follow from the stored row: a republished event is byte-identical."""
    named = {
        "content-type": "application/protobuf",
        "ce_specversion": "1.0",
        "ce_id": envelope.event_id,
        "ce_source": _source(envelope.topic),
        "ce_type": envelope.type,
        "ce_subject": envelope.stream,
        "ce_time": _text(envelope.occurred_at),
        "ce_dataschema": envelope.dataschema,
        "ce_partitionkey": envelope.key,
        "ce_tenant": envelope.tenant,
        "ce_site": envelope.site,
        "ce_streamver": str(envelope.version),
        "ce_shard": str(envelope.shard),
        "ce_pos": str(envelope.pos),
        "ce_storeepoch": envelope.epoch,
        "ce_prevhash": envelope.previous_hash.hex(),
        "ce_recordedat": _text(envelope.recorded_at),
        "ce_correlationid": envelope.correlation_id,
        "ce_causationid": envelope.causation_id,
        "traceparent": envelope.traceparent,
    }
    filled = [(name, text.encode()) for name, text in named.items() if text]
    return [*filled, ("bayline-meta", envelope.meta)]


def envelope_of(record: Record) -> Envelope:
    """Raises `Undecodable` for a record that no relay of ours can have published."""
    try:
        envelope = _read(record.topic, record.headers, record.value)
    except (KeyError, ValueError, TypeError) as error:
        raise Undecodable(f"not one of our records: {error!r}") from error
    if not (0 <= envelope.shard < SHARDS and 0 < envelope.pos < POSITIONS):
        raise Undecodable(f"there is no shard {envelope.shard} with position {envelope.pos}")
    if envelope.partition != record.partition:
        raise Undecodable(f"shard {envelope.shard} does not belong to this partition")
    return envelope


def _read(topic: str, came: Headers, value: bytes | None) -> Envelope:
    if value is None:
        raise ValueError("no value")
    headers = dict(came)

    def text(name: str) -> str:
        return headers[name].decode()

    def text_if_any(name: str) -> str:
        return headers.get(name, b"").decode()

    return Envelope(
        topic=topic,
        shard=int(text("ce_shard")),
        pos=int(text("ce_pos")),
        tenant=text("ce_tenant"),
        stream=_uuid(text("ce_subject")),
        version=int(text("ce_streamver")),
        event_id=_uuid(text("ce_id")),
        type=text("ce_type"),
        occurred_at=_moment(text("ce_time")),
        recorded_at=_moment(text("ce_recordedat")),
        data=value,
        meta=headers["bayline-meta"],
        previous_hash=bytes.fromhex(text("ce_prevhash")),
        epoch=text("ce_storeepoch"),
        site=text_if_any("ce_site"),
        dataschema=text_if_any("ce_dataschema"),
        correlation_id=text_if_any("ce_correlationid"),
        causation_id=text_if_any("ce_causationid"),
        traceparent=text_if_any("traceparent"),
        headers=came,
    )


def _uuid(text: str) -> str:
    """As a store writes it; a `UUID` made for each would cost more than all else here."""
    if not UUID_TEXT.fullmatch(text):
        raise ValueError(f"{text} is no UUID")
    return text


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} is in no zone")
    return found


def _uuid_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def _source(topic: str) -> str:
    """`/workshop` of `bayline.workshop.v1.JobEvent`."""
    parts = topic.split(".")
    return f"/{parts[-3]}" if len(parts) >= 3 else f"/{topic}"


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=1024)  # of topics, types and tenants, which are few
def _counted(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">i", len(encoded)) + encoded
