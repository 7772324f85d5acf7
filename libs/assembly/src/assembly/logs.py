"""Event logs read from where they are kept: a peer's by gRPC, one's own from the database."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from uuid import UUID

import grpc.aio

from bayline.event.v1 import event_log_service_pb2 as pb
from bayline.event.v1.event_log_service_pb2_grpc import EventLogServiceStub
from eventstore.conversion import datetime_of
from eventstore.reading import LogReader
from eventstore.tail import Row
from messaging.envelope import Envelope, envelope_from
from messaging.positions import covered
from messaging.subject import Backfill, Heads
from runtime.database import Pool

ARRIVAL_SECONDS = 0.2
HEADS_SECONDS = 5.0


class PeerLog:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = EventLogServiceStub(channel)

    async def read(
        self, log: str, shard: int, from_pos: int, to_pos: int
    ) -> AsyncIterator[Envelope]:
        epoch = UUID((await self.heads(log)).epoch)
        request = pb.ReadShardRequest(log=log, shard=shard, from_pos=from_pos, to_pos=to_pos)
        async for stored in self._stub.ReadShard(request):
            yield envelope_from(row_of(stored, epoch))

    async def heads(self, log: str) -> Heads:
        found = await self._stub.GetHeads(pb.GetHeadsRequest(log=log), timeout=HEADS_SECONDS)
        return Heads(found.epoch, list(found.heads))


@dataclass(frozen=True, slots=True)
class OwnLog:
    reader: LogReader

    async def heads(self, log: str) -> Heads:
        found = await self.reader.heads(log)
        return Heads(found.epoch, found.stored)

    async def read(
        self, log: str, shard: int, from_pos: int, to_pos: int
    ) -> AsyncIterator[Envelope]:
        async for row in self.reader.shard(log, shard, from_pos, to_pos):
            yield envelope_from(row)


@dataclass(frozen=True, slots=True)
class Logs:
    """Each log where it is kept."""

    kept: Mapping[str, Backfill]

    async def heads(self, log: str) -> Heads:
        return await self.kept[log].heads(log)

    def read(self, log: str, shard: int, from_pos: int, to_pos: int) -> AsyncIterator[Envelope]:
        return self.kept[log].read(log, shard, from_pos, to_pos)


@dataclass(frozen=True, slots=True)
class Source:
    """Another service's log, and the consumer that projects it here."""

    peer: PeerLog
    log: str
    consumer: str


@dataclass(frozen=True, slots=True)
class PeerArrivals:
    """Asked only where something is missing: whether it may still be on its way."""

    pool: Pool
    sources: Mapping[str, Source]

    async def complete(self, source: str) -> bool:
        found = self.sources[source]
        stored = (await found.peer.heads(found.log)).stored
        places = [(found.log, shard, pos) for shard, pos in enumerate(stored) if pos]
        deadline = asyncio.get_running_loop().time() + ARRIVAL_SECONDS
        return await covered(self.pool, found.consumer, places, deadline)


def row_of(stored: pb.StoredEvent, epoch: UUID) -> Row:
    """As the store has it; what came with it says nothing of the epoch."""
    return Row(
        log=stored.log,
        shard=stored.shard,
        pos=stored.pos,
        tenant=stored.tenant,
        stream=UUID(stored.stream),
        ver=stored.version,
        event_id=UUID(stored.event_id),
        type=stored.type,
        occurred_at=datetime_of(stored.occurred_at),
        recorded_at=datetime_of(stored.recorded_at),
        data=stored.data,
        meta=stored.meta,
        hash=stored.hash,
        previous_hash=stored.previous_hash,
        epoch=epoch,
    )
