"""The audit log beside the stores it was made of, shard by shard."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from uuid import UUID

import grpc
import psycopg
from psycopg import Connection

from assembly.logs import row_of
from audit.application.reconciling import Difference, Stored, behind, differences
from audit.domain import record
from bayline.event.v1 import event_log_service_pb2 as pb
from bayline.event.v1.event_log_service_pb2_grpc import EventLogServiceStub
from messaging.envelope import (
    SHARDS,
    Undecodable,
    envelope_from,
    envelope_of,
    genesis,
    partition_of,
)

NO_EPOCH = UUID(int=0)  # no hash covers it
AUDITED = """
SELECT l.pos, l.record FROM audit.log t JOIN audit.leaf l USING (tenant)
 WHERE l.topic = %s AND l.shard = %s"""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One log: how many events its store has, how many of them the audit has not come to yet."""

    log: str
    events: int
    behind: int
    differences: Mapping[int, list[Difference]]  # by shard


async def reconcile(dsn: str, channel: grpc.aio.Channel, log: str) -> Reconciled:
    """`channel` leads to the service that keeps the log, with a workload's token."""
    events, late, found = 0, 0, dict[int, list[Difference]]()
    with psycopg.connect(dsn) as connection:
        for shard in range(SHARDS):
            audited = _audited(connection, log, shard)  # first: the store is never behind it
            stored = [event async for event in _stored(channel, log, shard)]
            events, late = events + len(stored), late + behind(stored, audited)
            if wrong := list(differences(stored, genesis(log, shard), audited)):
                found[shard] = wrong
    return Reconciled(log, events, late, found)


async def _stored(channel: grpc.aio.Channel, log: str, shard: int) -> AsyncIterator[Stored]:
    request = pb.ReadShardRequest(log=log, shard=shard, from_pos=1)
    async for event in EventLogServiceStub(channel).ReadShard(request):
        computed = envelope_from(row_of(event, NO_EPOCH)).hash
        yield Stored(event.pos, event.hash, event.previous_hash, computed)


def _audited(connection: Connection, log: str, shard: int) -> Mapping[int, set[bytes]]:
    audited: dict[int, set[bytes]] = {}
    for pos, encoded in connection.execute(AUDITED, (log, shard), binary=True):
        audited.setdefault(pos, set()).add(hash_of(encoded))
    return audited


def hash_of(encoded: bytes) -> bytes:
    """As the store must have had it for such a record; empty for one that no store published."""
    try:
        found = record.read(encoded)
        place = found.place
        came = SimpleNamespace(
            topic=place.topic,
            partition=partition_of(place.shard),
            headers=found.headers,
            value=found.value,
        )
        return envelope_of(came).hash
    except (record.RecordUnreadable, Undecodable):
        return b""
