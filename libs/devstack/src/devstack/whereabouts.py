"""Where one event is: store, topic, and the cursor of each consumer."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from psycopg import Connection
from psycopg.rows import class_row

from devstack import topology
from devstack.accounts import Login
from devstack.consumers import Stores
from devstack.failure import StackFailure
from eventstore.chain import hash_of
from messaging.kafka import connection

EVENT = """
SELECT e.log, e.shard, e.pos, e.tenant, e.stream, e.ver, e.event_id, e.type, e.occurred_at,
       e.recorded_at, e.data, e.meta, e.hash, s.epoch,
       coalesce(p.hash, es.genesis(e.log, e.shard)) AS previous_hash
FROM es.event e CROSS JOIN es.store s
LEFT JOIN es.event p ON p.log = e.log AND p.shard = e.shard AND p.pos = e.pos - 1
WHERE e.event_id = %s"""
CHAIN = """
SELECT e.log, e.shard, e.pos, e.tenant, e.stream, e.ver, e.event_id, e.type, e.occurred_at,
       e.recorded_at, e.data, e.meta, e.hash, s.epoch,
       lag(e.hash, 1, es.genesis(e.log, e.shard)) OVER (ORDER BY e.pos) AS previous_hash
FROM es.event e CROSS JOIN es.store s WHERE e.log = %s AND e.shard = %s ORDER BY e.pos"""
HEAD = "SELECT pos, hash FROM es.head WHERE log = %s AND shard = %s"
RELAYED = "SELECT pos FROM es.relay_cursor WHERE log = %s AND shard = %s"
CURSORS = "SELECT name, pos FROM consumer.cursor WHERE log = %s AND shard = %s ORDER BY name"
PARKED = "SELECT name, error FROM consumer.parked WHERE log = %s AND shard = %s AND pos = %s"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    log: str
    shard: int
    pos: int
    tenant: str
    stream: UUID
    ver: int
    event_id: UUID
    type: str
    occurred_at: datetime
    recorded_at: datetime
    data: bytes
    meta: bytes
    hash: bytes
    epoch: UUID
    previous_hash: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """The record on the topic. `identical`: its bytes are those of the store."""

    partition: int
    offset: int
    at: float  # Unix seconds
    identical: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """A consumer of that log: `behind` counts the events up to and with this one; 0 is past it."""

    name: str
    behind: int
    parked: str = ""  # the error it was parked for


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """`broken_at`: the first position of the event's shard whose hash does not follow; None if all do."""

    event: StoredEvent
    broken_at: int | None
    relayed: bool
    published: Published | None
    readers: Sequence[Reader]

    @property
    def chain_holds(self) -> bool:
        return self.broken_at is None

    def document(self) -> dict[str, Any]:
        event = self.event
        bytes_ = {
            "data": base64.b64encode(event.data).decode(),
            "meta": base64.b64encode(event.meta).decode(),
            "data_sha256": sha256(event.data).hexdigest(),
            "hash": event.hash.hex(),
            "previous_hash": event.previous_hash.hex(),
        }
        return {
            "event": asdict(event) | bytes_,
            "chain_holds": self.chain_holds,
            "broken_at": self.broken_at,
            "relayed": self.relayed,
            "published": asdict(self.published) if self.published else None,
            "readers": [asdict(reader) for reader in self.readers],
        }


def whereabouts(
    stores: Stores, event_id: UUID, look_up: Callable[[StoredEvent], Published | None]
) -> Whereabouts:
    """`look_up` finds the event on its topic."""
    event = _stored(stores, event_id)
    owner = stores.connections[topology.owner_of(event.log)]
    row = owner.execute(RELAYED, (event.log, event.shard)).fetchone()
    return Whereabouts(
        event,
        broken_at=_broken_at(owner, event.log, event.shard),
        relayed=bool(row and row[0] >= event.pos),
        published=look_up(event),
        readers=_readers(stores, event),
    )


def _broken_at(store: Connection, log: str, shard: int) -> int | None:
    """Walks the whole shard: what was changed before the event is as bad, and so is its end."""
    head, end = store.execute(HEAD, (log, shard)).fetchone() or (0, b"")
    last = 0
    with store.transaction(), store.cursor("chain", row_factory=class_row(StoredEvent)) as events:
        for event in events.execute(CHAIN, (log, shard)):
            follows = hash_of(event, event.previous_hash) == event.hash
            if not follows or (event.pos == head and event.hash != end):
                return event.pos
            last = event.pos
    return head if last < head else None


def on_topic(login: Login, event: StoredEvent) -> Published | None:
    try:
        return asyncio.run(_published(login, event))
    except (KafkaError, OSError) as error:
        raise StackFailure(
            f"Kafka does not answer: {error}", hint="start it: `bayline up`"
        ) from error


def _stored(stores: Stores, event_id: UUID) -> StoredEvent:
    for store in stores.kept().values():
        with store.cursor(row_factory=class_row(StoredEvent)) as cursor:
            event = cursor.execute(EVENT, (event_id,)).fetchone()
        if event is not None:
            return event
    raise StackFailure(
        f"no store has an event {event_id}",
        hint="ids stand in the header ce_id, and in `GET /v1/jobs/{id}/history`",
    )


def _readers(stores: Stores, event: StoredEvent) -> list[Reader]:
    place = event.log, event.shard
    readers = []
    for store in stores.connections.values():
        parked: dict[str, str] = dict(store.execute(PARKED, (*place, event.pos)).fetchall())
        for name, pos in store.execute(CURSORS, place):
            readers.append(Reader(name, max(0, event.pos - pos), parked.get(name, "")))
    return readers


async def _published(login: Login, event: StoredEvent) -> Published | None:
    """Reads the event's partition from its beginning until it meets the event."""
    partition = TopicPartition(event.log, event.shard % topology.PARTITIONS)
    async with AIOKafkaConsumer(**connection(login), enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(timeout_ms=1000)).get(partition, []):
                if dict(record.headers).get("ce_id") == str(event.event_id).encode():
                    return Published(
                        record.partition,
                        record.offset,
                        record.timestamp / 1000,
                        identical=record.value == event.data,
                    )
    return None
