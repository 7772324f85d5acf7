import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import grpc.aio
import pytest
from google.protobuf.message import Message
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bayline.event.v1 import event_log_service_pb2 as pb
from bayline.event.v1.event_log_service_pb2_grpc import (
    EventLogServiceStub,
    add_EventLogServiceServicer_to_server,
)
from eventstore.chain import hash_of, shard_of
from eventstore.postgres import PostgresEventStore
from eventstore.reading import LogNotFound, LogReader, PositionsUnreadable
from eventstore.servicer import EventLogServicer
from eventstore.tables import Table
from eventstore.tail import PostgresTail, Row
from testkit.events import (
    LOAN,
    LOAN_LOG,
    CarId,
    CarLent,
    Loan,
    LoanEvent,
    MeterRead,
    declare,
    loan_codec,
)
from testkit.store_contract import ANNA, NORTH, SOUTH, a_request, a_stream, put
from testkit.unread import SPOILED, append_unread

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[Any]]
Store: TypeAlias = PostgresEventStore[LoanEvent]

if TYPE_CHECKING:
    from bayline.event.v1.event_log_service_pb2_grpc import EventLogServiceAsyncStub

pytestmark = pytest.mark.integration

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BUGGY = CarId("a car that a bug cannot stand")
SO_FAR = declare("""
name: "bayline/testkit/reading/v1/loan.proto" package: "bayline.testkit.reading.v1" syntax: "proto3"
message_type { name: "LoanSoFar"
  field { name: "series" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "number" number: 2 label: LABEL_OPTIONAL type: TYPE_INT64 }
  field { name: "unread_events" number: 50 label: LABEL_OPTIONAL type: TYPE_INT32 } }
""")["LoanSoFar"]


def a_bill(stream: UUID, version: int, loan: Loan) -> Message | None:
    """Who has lent a car, and how often its meter was read."""
    if loan.car == BUGGY:
        raise OverflowError("too much for it")
    if loan.borrower is None:
        return None
    return SO_FAR(series=loan.borrower.text, number=len(loan.readings))


LOANS = Table(loan_codec(), LOAN, a_bill)


@pytest.fixture
def reader(relay_pool: Pool) -> LogReader:
    return LogReader(relay_pool, page=7, small_page=3)


@pytest.fixture
async def log(relay_pool: Pool) -> "AsyncIterator[EventLogServiceAsyncStub]":
    server = grpc.aio.server()
    add_EventLogServiceServicer_to_server(EventLogServicer(relay_pool, [LOANS]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield EventLogServiceStub(channel)
    await server.stop(None)


async def write(store: Store, tenant: str, streams: int, events: int) -> list[UUID]:
    written = [a_stream() for _ in range(streams)]
    for version in range(events):
        await asyncio.gather(
            *(
                put(store, stream, version, MeterRead(version, 0), request=a_request(tenant=tenant))
                for stream in written
            )
        )
    return written


async def all_rows(rows: AsyncIterator[Row]) -> list[Row]:
    return [row async for row in rows]


def by_time(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.recorded_at, row.shard, row.pos))


async def test_a_shard_is_read_page_by_page_in_order(store: Store, reader: LogReader) -> None:
    (stream,) = await write(store, NORTH, streams=1, events=20)
    shard = shard_of(NORTH, stream)

    rows = await all_rows(reader.shard(LOAN_LOG, shard, 1))

    assert [row.pos for row in rows] == list(range(1, 21))
    assert all(row.hash == hash_of(row, row.previous_hash) for row in rows)
    assert await all_rows(reader.shard(LOAN_LOG, shard, 8, 12)) == rows[7:12]
    assert await all_rows(reader.shard(LOAN_LOG, shard, 15)) == rows[14:]
    assert await all_rows(reader.shard(LOAN_LOG, shard, 21)) == []
    assert await all_rows(reader.shard(LOAN_LOG, shard, 19, 99)) == rows[18:]


async def test_a_tenant_is_read_by_time_and_alone(store: Store, reader: LogReader) -> None:
    await asyncio.gather(write(store, NORTH, 30, 9), write(store, SOUTH, 5, 3))

    north = await all_rows(reader.tenant(LOAN_LOG, NORTH))

    assert len(north) == 270
    assert {row.tenant for row in north} == {NORTH}
    assert north == by_time(north)


async def test_reading_goes_on_where_it_stopped(store: Store, reader: LogReader) -> None:
    await write(store, NORTH, 20, 4)
    pinned = (await reader.heads(LOAN_LOG)).stored
    before = await all_rows(reader.tenant(LOAN_LOG, NORTH))
    await write(store, NORTH, 10, 4)

    assert await all_rows(reader.tenant(LOAN_LOG, NORTH, until=pinned)) == before
    added = await all_rows(reader.tenant(LOAN_LOG, NORTH, after=pinned))

    assert len(added) == 40
    assert by_time(before + added) == await all_rows(reader.tenant(LOAN_LOG, NORTH))


async def test_a_stream_or_a_time_narrows_what_is_read(store: Store, reader: LogReader) -> None:
    stream, *_ = await write(store, NORTH, 10, 5)
    rows = await all_rows(reader.tenant(LOAN_LOG, NORTH))
    middle = rows[25].recorded_at

    of_stream = await all_rows(reader.tenant(LOAN_LOG, NORTH, stream=stream))
    later = await all_rows(reader.tenant(LOAN_LOG, NORTH, recorded_from=middle))

    assert [row.ver for row in of_stream] == [1, 2, 3, 4, 5]
    assert later == [row for row in rows if row.recorded_at >= middle]


async def test_an_unknown_log_and_a_short_vector_are_refused(reader: LogReader) -> None:
    with pytest.raises(LogNotFound):
        await reader.heads("bayline.nobody.v1.Event")
    with pytest.raises(PositionsUnreadable):
        await all_rows(reader.tenant(LOAN_LOG, NORTH, after=[1, 2]))


async def test_the_log_is_read_over_grpc(
    store: Store, relay_pool: Pool, log: "EventLogServiceAsyncStub"
) -> None:
    (stream,) = await write(store, NORTH, 1, 3)
    tail = PostgresTail(relay_pool, LOAN_LOG)
    rows = await tail.fetch()
    await tail.lease()
    await tail.advance(rows[:2])
    shard = rows[0].shard

    heads = await log.GetHeads(pb.GetHeadsRequest(log=LOAN_LOG))
    of_shard = log.ReadShard(pb.ReadShardRequest(log=LOAN_LOG, shard=shard, from_pos=2))
    of_tenant = log.ReadTenant(pb.ReadTenantRequest(log=LOAN_LOG, tenant=NORTH, stream=str(stream)))

    assert (heads.heads[shard], heads.relayed[shard], len(heads.heads)) == (3, 2, 64)
    assert heads.epoch == str(rows[0].epoch)
    assert [event.pos async for event in of_shard] == [2, 3]
    assert [(event.data, event.hash, event.previous_hash) async for event in of_tenant] == [
        (row.data, row.hash, row.previous_hash) for row in rows
    ]


async def test_a_log_of_another_service_is_not_read_over_grpc(
    log: "EventLogServiceAsyncStub",
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="there is no log"):
        await log.GetHeads(pb.GetHeadsRequest(log="bayline.other.v1.Event"))


async def test_places_that_cannot_be_are_refused_over_grpc(log: "EventLogServiceAsyncStub") -> None:
    shard = log.ReadShard(pb.ReadShardRequest(log=LOAN_LOG, shard=64))
    stream = log.ReadTenant(pb.ReadTenantRequest(log=LOAN_LOG, tenant=NORTH, stream="van"))

    with pytest.raises(grpc.aio.AioRpcError, match="there is no shard 64"):
        await shard.read()
    with pytest.raises(grpc.aio.AioRpcError, match="van is no stream"):
        await stream.read()


async def lent(store: Store, tenant: str, readings: int) -> UUID:
    stream = a_stream()
    events: list[LoanEvent] = [
        CarLent(CarId(str(stream)), ANNA, LONG_AGO),
        *(MeterRead(number, 0) for number in range(readings)),
    ]
    for version, event in enumerate(events):
        await put(store, stream, version, event, request=a_request(tenant=tenant))
    return stream


async def test_a_table_has_a_row_for_each_stream_as_it_was_at_a_vector(
    store: Store, reader: LogReader
) -> None:
    loans = {await lent(store, NORTH, readings): readings for readings in range(1, 12)}
    await lent(store, SOUTH, 1)
    await put(store, a_stream(), 0, MeterRead(1, 0), request=a_request(tenant=NORTH))
    pinned = (await reader.heads(LOAN_LOG)).stored
    first = next(iter(loans))
    await put(store, first, 2, MeterRead(9, 0), request=a_request(tenant=NORTH))
    await lent(store, NORTH, 1)

    rows = [row async for row in LOANS.rows(reader.streams(LOAN_LOG, NORTH, pinned))]

    assert [row.stream for row in rows] == sorted(loans)
    assert {row.stream: row.resource for row in rows} == {
        stream: SO_FAR(series="[sealed]", number=readings) for stream, readings in loans.items()
    }
    assert [row.version for row in rows] == [1 + loans[row.stream] for row in rows]


async def test_a_table_is_read_over_grpc(store: Store, log: "EventLogServiceAsyncStub") -> None:
    stream = await lent(store, NORTH, 2)

    table = log.FoldTenant(pb.FoldTenantRequest(log=LOAN_LOG, tenant=NORTH))

    [row] = [row async for row in table]
    bill = SO_FAR(series="[sealed]", number=2)
    assert (row.stream, row.version, row.data) == (str(stream), 3, bill.SerializeToString())
    assert row.changed_at.seconds > 0


async def test_a_stream_that_cannot_be_folded_is_named_and_the_others_are_folded(
    store: Store, app_pool: Pool, log: "EventLogServiceAsyncStub"
) -> None:
    fine, newer, spoiled, never, nothing = [await lent(store, NORTH, 2) for _ in range(4)] + [
        a_stream()
    ]
    await put(store, never, 3, CarLent(BUGGY, ANNA, LONG_AGO))
    await append_unread(app_pool, LOAN_LOG, NORTH, newer)
    await append_unread(app_pool, LOAN_LOG, NORTH, spoiled, data=SPOILED)
    await append_unread(app_pool, LOAN_LOG, NORTH, nothing)
    await put(store, nothing, 1, MeterRead(1, 0))

    table = log.FoldTenant(pb.FoldTenantRequest(log=LOAN_LOG, tenant=NORTH))
    rows = {UUID(row.stream): row async for row in table}

    problems = {stream: row.problem.partition(":")[0] for stream, row in rows.items()}
    assert problems == {
        fine: "",
        newer: "",
        spoiled: "EVENT_UNREADABLE",
        never: "INTERNAL",
        nothing: "WRITTEN_BY_A_NEWER_RELEASE",
    }
    shown = {stream: SO_FAR.FromString(row.data) for stream, row in rows.items() if row.data}
    assert shown == {
        fine: SO_FAR(series="[sealed]", number=2),
        newer: SO_FAR(series="[sealed]", number=2, unread_events=1),
    }
    assert [rows[each].version for each in (fine, newer, spoiled, never, nothing)] == [
        3,
        4,
        4,
        4,
        2,
    ]
