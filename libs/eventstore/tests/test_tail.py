import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devstack.databases import Database
from eventstore.chain import genesis, hash_of, shard_of
from eventstore.postgres import PostgresEventStore
from eventstore.tail import Backlog, LostLease, PostgresTail, Row
from testkit.events import LOAN_LOG, LoanEvent, MeterRead
from testkit.servers import NewDatabase
from testkit.store_contract import NORTH, a_stream, put

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[Any]]
Store: TypeAlias = PostgresEventStore[LoanEvent]

pytestmark = pytest.mark.integration

HOLD_OPEN = """
SELECT * FROM es.append(%s, 'north', %s, 0, %s, 'fp', ARRAY[gen_random_uuid()], ARRAY['slow'],
  ARRAY[now()], ARRAY['\\x01'::bytea], ARRAY['\\x02'::bytea], '{}', '{}', '{}', '{}')
"""


@pytest.fixture
def tail(relay_pool: Pool) -> PostgresTail:
    return PostgresTail(relay_pool, LOAN_LOG)


async def write(store: Store, streams: int, events: int = 3) -> None:
    readings = [MeterRead(n, n) for n in range(events)]
    await asyncio.gather(*(put(store, a_stream(), 0, *readings) for _ in range(streams)))


async def drain(tail: PostgresTail, limit: int = 512) -> list[Row]:
    drained = []
    while rows := await tail.fetch(limit):
        await tail.advance(rows)
        drained += rows
    return drained


def by_shard(rows: list[Row]) -> dict[int, list[Row]]:
    shards = defaultdict(list)
    for row in rows:
        shards[row.shard].append(row)
    return shards


async def test_everything_stored_is_read_once_and_without_holes(
    store: Store, tail: PostgresTail
) -> None:
    await write(store, streams=80)
    await tail.lease()

    rows = await drain(tail, limit=100)

    assert len(rows) == 240
    for shard in by_shard(rows).values():
        assert [row.pos for row in shard] == list(range(1, len(shard) + 1))
    assert await tail.fetch() == []


async def test_the_chain_and_the_shards_are_what_python_computes(
    store: Store, tail: PostgresTail
) -> None:
    await write(store, streams=40)

    rows = await tail.fetch()

    for shard, link in by_shard(rows).items():
        previous = genesis(LOAN_LOG, shard)
        for row in link:
            assert row.shard == shard_of(row.tenant, row.stream)
            assert row.previous_hash == previous
            assert row.hash == hash_of(row, previous)
            previous = row.hash


async def test_a_reader_beside_writers_skips_nothing_and_sees_nothing_twice(
    store: Store, tail: PostgresTail
) -> None:
    await tail.lease()
    writers = asyncio.create_task(write(store, streams=300, events=1))
    rows = []

    while not writers.done() or await tail.fetch():
        batch = await tail.fetch(64)
        if batch:
            await tail.advance(batch)
        rows += batch
    await writers

    assert len({(row.shard, row.pos) for row in rows}) == len(rows) == 300
    for shard in by_shard(rows).values():
        assert [row.pos for row in shard] == list(range(1, len(shard) + 1))


async def test_a_slow_commit_holds_up_its_shard_and_nothing_is_skipped(
    store: Store, tail: PostgresTail, es: Database
) -> None:
    slow = a_stream()
    shard = shard_of(NORTH, slow)
    behind, beside = _streams_in(shard), _streams_in((shard + 1) % 64)
    await tail.lease()
    with psycopg.connect(es.superuser_dsn) as open_transaction:
        open_transaction.execute(HOLD_OPEN, (LOAN_LOG, slow, "slow-key"))
        waiting = asyncio.create_task(put(store, behind, 0, MeterRead(1, 1)))
        await put(store, beside, 0, MeterRead(1, 1))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.2)

        while_open = await drain(tail)
        open_transaction.commit()
    await waiting
    afterwards = await drain(tail)

    assert [row.stream for row in while_open] == [beside]
    assert [(row.stream, row.pos) for row in afterwards] == [(slow, 1), (behind, 2)]


async def test_a_long_transaction_elsewhere_holds_up_nobody(
    store: Store, tail: PostgresTail, es: Database, database: NewDatabase
) -> None:
    """Readers that wait for the oldest transaction of the whole server would stand still."""
    elsewhere = database("workshop")
    await tail.lease()
    with (
        psycopg.connect(elsewhere.superuser_dsn) as long,
        psycopg.connect(es.superuser_dsn) as near,
    ):
        for transaction in (long, near):
            transaction.execute("CREATE TABLE public.report (line text)")
            transaction.execute("INSERT INTO public.report VALUES ('a long one')")
        await write(store, streams=10, events=1)

        read = await drain(tail)
        near.rollback()

    assert len(read) == 10


async def test_one_relay_at_a_time_holds_the_lease(
    store: Store, tail: PostgresTail, relay_pool: Pool
) -> None:
    other = PostgresTail(relay_pool, LOAN_LOG)

    assert await tail.lease()
    assert not await other.lease()
    assert await tail.lease()


async def test_a_relay_that_overslept_its_lease_cannot_move_the_cursor(
    store: Store, tail: PostgresTail, relay_pool: Pool, es: Database
) -> None:
    await write(store, streams=5)
    await tail.lease()
    rows = await tail.fetch()
    _let_the_lease_run_out(es)
    successor = PostgresTail(relay_pool, LOAN_LOG)
    assert await successor.lease()

    with pytest.raises(LostLease):
        await tail.advance(rows)

    assert await successor.fetch() == rows
    await successor.advance(rows)
    assert await successor.fetch() == []


async def test_a_cursor_moves_from_where_it_is_only(store: Store, tail: PostgresTail) -> None:
    await write(store, streams=1)
    await tail.lease()
    rows = await tail.fetch()
    await tail.advance(rows)

    with pytest.raises(LostLease):
        await tail.advance(rows)
    with pytest.raises(ValueError, match="does not follow"):
        await tail.advance([rows[0], rows[2]])


async def test_the_backlog_is_what_is_not_yet_published(store: Store, tail: PostgresTail) -> None:
    assert await tail.backlog() == Backlog(0, None)
    await write(store, streams=4)
    await tail.lease()

    oldest = min(row.recorded_at for row in await tail.fetch())

    assert await tail.backlog() == Backlog(12, oldest)
    await drain(tail)
    assert await tail.backlog() == Backlog(0, None)


async def test_the_store_tells_its_epoch_and_the_hashes_it_has(
    store: Store, tail: PostgresTail, es: Database
) -> None:
    await write(store, streams=1)
    (*_, last) = await tail.fetch()

    with psycopg.connect(es.owner_dsn, autocommit=True) as connection:
        ((renewed,),) = connection.execute("SELECT es.next_epoch()").fetchall()

    assert last.epoch != renewed
    assert await tail.epoch() == str(renewed)
    assert await tail.hashes([(last.shard, last.pos), (last.shard, 99)]) == {
        (last.shard, last.pos): last.hash
    }


def _streams_in(shard: int) -> UUID:
    while shard_of(NORTH, stream := a_stream()) != shard:
        pass
    return stream


def _let_the_lease_run_out(es: Database) -> None:
    with psycopg.connect(es.superuser_dsn, autocommit=True) as connection:
        connection.execute("UPDATE es.relay_lease SET until = '-infinity'")
