"""The event log over gRPC, for other services and analysts: bayline.event.v1.EventLogService."""

from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import UUID

from grpc.aio import ServicerContext
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bayline.event.v1 import event_log_service_pb2 as pb
from bayline.event.v1.event_log_service_pb2_grpc import EventLogServiceServicer
from eventstore.chain import SHARDS
from eventstore.conversion import datetime_of, timestamp_of
from eventstore.reading import BEGINNING, LogNotFound, LogReader, PositionsUnreadable
from eventstore.tables import Table
from eventstore.tail import Row


class EventLogServicer(EventLogServiceServicer):
    """Answers for the logs of `tables`; the pool's role reads all tenants.

    Internal: the policy admits workloads only.
    """

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], tables: Iterable[Table[Any, Any]]
    ) -> None:
        self._reader = LogReader(pool)
        self._tables = {table.codec.log: table for table in tables}

    async def ReadShard(  # noqa: N802 -- the RPC's name
        self, request: pb.ReadShardRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.StoredEvent]:
        self._require(request.log)
        if not 0 <= request.shard < SHARDS:
            raise PositionsUnreadable(f"there is no shard {request.shard}")
        rows = self._reader.shard(request.log, request.shard, request.from_pos, request.to_pos)
        async for row in rows:
            yield _stored(row)

    async def ReadTenant(  # noqa: N802 -- the RPC's name
        self, request: pb.ReadTenantRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.StoredEvent]:
        self._require(request.log)
        rows = self._reader.tenant(
            request.log,
            request.tenant,
            after=request.after,
            until=request.until,
            recorded_from=(
                datetime_of(request.recorded_from)
                if request.HasField("recorded_from")
                else BEGINNING
            ),
            stream=_stream(request.stream),
        )
        async for row in rows:
            yield _stored(row)

    async def FoldTenant(  # noqa: N802 -- the RPC's name
        self, request: pb.FoldTenantRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.FoldedStream]:
        self._require(request.log)
        events = self._reader.streams(request.log, request.tenant, request.until)
        async for row in self._tables[request.log].rows(events):
            yield pb.FoldedStream(
                stream=str(row.stream),
                version=row.version,
                changed_at=timestamp_of(row.changed_at),
                data=row.resource.SerializeToString(deterministic=True) if row.resource else b"",
                problem=row.problem,
            )

    async def GetHeads(  # noqa: N802 -- the RPC's name
        self, request: pb.GetHeadsRequest, context: ServicerContext[Any, Any]
    ) -> pb.Heads:
        self._require(request.log)
        heads = await self._reader.heads(request.log)
        return pb.Heads(epoch=heads.epoch, heads=heads.stored, relayed=heads.relayed)

    def _require(self, log: str) -> None:
        if log not in self._tables:
            raise LogNotFound(f"there is no log {log}", log=log)


def _stream(name: str) -> UUID | None:
    try:
        return UUID(name) if name else None
    except ValueError as error:
        raise PositionsUnreadable(f"{name} is no stream") from error


def _stored(row: Row) -> pb.StoredEvent:
    return pb.StoredEvent(
        log=row.log,
        shard=row.shard,
        pos=row.pos,
        tenant=row.tenant,
        stream=str(row.stream),
        version=row.ver,
        event_id=str(row.event_id),
        type=row.type,
        occurred_at=timestamp_of(row.occurred_at),
        recorded_at=timestamp_of(row.recorded_at),
        data=row.data,
        meta=row.meta,
        hash=row.hash,
        previous_hash=row.previous_hash,
    )
