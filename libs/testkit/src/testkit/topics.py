"""A log as a store would hold it, in memory: to relay from, to backfill from, to publish."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient

from bayline.event.v1.metadata_pb2 import Metadata
from eventstore.chain import genesis, hash_of, shard_of
from kernel.ids import IdGenerator, Uuid7
from messaging.admin import ensure_topics
from messaging.dlq import dlq_of
from messaging.envelope import PARTITIONS, SHARDS, Envelope, envelope_from
from messaging.kafka import KafkaPublisher, KafkaSettings, connection, last_records
from messaging.subject import Heads

AT_ONCE = 200
LEASE_SECONDS = 3.0
MONDAY_8AM = datetime(2026, 11, 23, 8, tzinfo=UTC)


class LeaseLost(Exception):
    """Another relay has taken over."""


@dataclass(frozen=True, slots=True)
class WrittenRow:
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
    previous_hash: bytes
    epoch: UUID


class WrittenLog:
    """Appends in commit order, with positions and hash chain. Satisfies `Backfill`."""

    def __init__(self, name: str, *, ids: IdGenerator | None = None) -> None:
        self.log = name
        self._ids = ids or Uuid7()
        self.current_epoch = self._ids.new()
        self.shards: dict[int, list[WrittenRow]] = {shard: [] for shard in range(SHARDS)}
        self.relayed = dict.fromkeys(range(SHARDS), 0)
        self.holder: object = None
        self.until = 0.0
        self._versions: dict[tuple[str, UUID], int] = {}

    def append(
        self, stream: UUID, data: bytes, *, tenant: str = "acme", of_type: str = "", site: str = ""
    ) -> Envelope:
        version = self._versions[tenant, stream] = self._versions.get((tenant, stream), 0) + 1
        shard = shard_of(tenant, stream)
        rows = self.shards[shard]
        meta = Metadata(site=site, correlation_id=str(stream), actor="users/1")
        row = WrittenRow(
            log=self.log,
            shard=shard,
            pos=len(rows) + 1,
            tenant=tenant,
            stream=stream,
            ver=version,
            event_id=self._ids.new(),
            type=of_type or f"{self.log}.Happened",
            occurred_at=MONDAY_8AM,
            recorded_at=MONDAY_8AM + timedelta(microseconds=len(rows)),
            data=data,
            meta=meta.SerializeToString(),
            hash=b"",
            previous_hash=rows[-1].hash if rows else genesis(self.log, shard),
            epoch=self.current_epoch,
        )
        rows.append(replace(row, hash=hash_of(row, row.previous_hash)))
        return envelope_from(rows[-1])

    def begin_new_epoch(self) -> str:
        self.current_epoch = self._ids.new()
        return str(self.current_epoch)

    def lose_last(self, shard: int) -> None:
        """As a failover to a replica that had not received it."""
        lost = self.shards[shard].pop()
        self._versions[lost.tenant, lost.stream] -= 1
        self.relayed[shard] = min(self.relayed[shard], lost.pos - 1)

    @property
    def envelopes(self) -> list[Envelope]:
        """All events, shard after shard."""
        return [self._now(row) for rows in self.shards.values() for row in rows]

    async def heads(self, log: str) -> Heads:
        return Heads(str(self.current_epoch), [len(rows) for rows in self.shards.values()])

    async def read(
        self, log: str, shard: int, from_pos: int, to_pos: int
    ) -> AsyncIterator[Envelope]:
        for row in self.shards[shard][from_pos - 1 : to_pos or None]:
            yield self._now(row)

    def tail(self) -> "WrittenTail":
        return WrittenTail(self)

    def _now(self, row: WrittenRow) -> Envelope:
        return envelope_from(replace(row, epoch=self.current_epoch))


class WrittenTail:
    """What a relay reads: each has its own claim to the one lease of the log."""

    def __init__(self, written: WrittenLog) -> None:
        self._written = written

    @property
    def log(self) -> str:
        return self._written.log

    async def lease(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._written.holder is not self and self._written.until > now:
            return False
        self._written.holder, self._written.until = self, now + LEASE_SECONDS
        return True

    async def fetch(self) -> Sequence[WrittenRow]:
        return [
            replace(row, epoch=self._written.current_epoch)
            for shard, rows in self._written.shards.items()
            for row in rows[self._written.relayed[shard] :][:AT_ONCE]
        ]

    async def advance(self, rows: Sequence[WrittenRow]) -> None:
        if self._written.holder is not self:
            raise LeaseLost(self.log)
        for row in rows:
            if self._written.relayed[row.shard] != row.pos - 1:
                raise LeaseLost(self.log)
            self._written.relayed[row.shard] = row.pos

    async def epoch(self) -> str:
        return str(self._written.current_epoch)

    async def hashes(self, places: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        stored = {
            (s, row.pos): row.hash for s, rows in self._written.shards.items() for row in rows
        }
        return {place: stored[place] for place in places if place in stored}


async def publish(kafka: KafkaSettings, envelopes: Sequence[Envelope]) -> None:
    """Past any relay: twice, out of order, or with some left out, as the test likes."""
    async with KafkaPublisher(kafka).session() as session:
        await session(envelopes)


@asynccontextmanager
async def topics(
    kafka: KafkaSettings, *names: str, partitions: int = PARTITIONS
) -> AsyncIterator[None]:
    """Made with their `.dlq`, and deleted: a broker's memory is bounded by its partitions."""
    await ensure_topics(kafka, names, partitions)
    try:
        yield
    finally:
        await delete_topics(kafka, *names)


async def delete_topics(kafka: KafkaSettings, *names: str) -> None:
    """These and their `.dlq`, as far as they are there; gone when this returns."""
    both = {each for name in names for each in (name, dlq_of(name))}
    admin = AIOKafkaAdminClient(**connection(kafka))
    await admin.start()
    try:
        there = both & set(await admin.list_topics())
        if there:
            await admin.delete_topics(sorted(there))
        await eventually(partial(_are_gone, admin, both))
    finally:
        await admin.close()


async def _are_gone(admin: AIOKafkaAdminClient, names: set[str]) -> bool:
    return not names & set(await admin.list_topics())


async def everything_in(kafka: KafkaSettings, topic: str) -> list[ConsumerRecord]:
    """The records of a topic, in offset order within each partition."""
    return await last_records(kafka, topic, each=1 << 40)


async def eventually(holds: Callable[[], object], *, within: float = 15.0) -> None:
    """Polls until it holds; what it awaits is awaited. Fails when the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        held = holds()
        if asyncio.iscoroutine(held):
            held = await held
        if held:
            return
        assert loop.time() < deadline, f"not within {within} s"
        await asyncio.sleep(0.01)
