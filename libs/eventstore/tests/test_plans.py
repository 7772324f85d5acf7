"""How many rows are touched, on tables that were never analysed: the plans must not depend on it."""

import asyncio
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest

from devstack.databases import Database
from eventstore import reading, tail
from eventstore.chain import shard_of
from eventstore.postgres import PostgresEventStore
from testkit.events import LOAN_LOG, LoanEvent, MeterRead
from testkit.store_contract import NORTH, a_stream, put

pytestmark = pytest.mark.integration

FETCHED = "SELECT coalesce(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'es.event'::regclass"
STREAMS, EVENTS = 200, 5


@pytest.fixture
async def streams(store: PostgresEventStore[LoanEvent]) -> list[UUID]:
    written = [a_stream() for _ in range(STREAMS)]
    readings = [MeterRead(n, n) for n in range(EVENTS)]
    await asyncio.gather(*(put(store, stream, 0, *readings) for stream in written))
    return written


def touched(es: Database, query: LiteralString, *parameters: object) -> int:
    with psycopg.connect(es.superuser_dsn) as connection:
        connection.execute(query, parameters).fetchall()
        ((rows,),) = connection.execute(FETCHED).fetchall()
    return int(rows)


def test_a_read_touches_the_rows_of_its_stream_only(es: Database, streams: list[UUID]) -> None:
    query: LiteralString = "SELECT * FROM es.read(%s, %s, %s, 'no-key')"

    assert touched(es, query, LOAN_LOG, NORTH, streams[7]) == EVENTS


def test_a_page_of_a_shard_touches_each_row_twice(es: Database, streams: list[UUID]) -> None:
    shard = shard_of(NORTH, streams[0])

    with psycopg.connect(es.superuser_dsn) as connection:
        ((head,),) = connection.execute(
            "SELECT pos FROM es.head WHERE log = %s AND shard = %s", (LOAN_LOG, shard)
        ).fetchall()

    assert touched(es, reading.SHARD, LOAN_LOG, shard, 1, head, 500) == 2 * head - 1


def test_a_relay_touches_what_it_fetches_and_nothing_when_there_is_nothing(
    es: Database, streams: list[UUID]
) -> None:
    everything = touched(es, tail.FETCH, 1000, LOAN_LOG, 0, 10_000)
    backlog = touched(es, tail.BACKLOG, LOAN_LOG, 0)
    with psycopg.connect(es.superuser_dsn, autocommit=True) as connection:
        connection.execute("UPDATE es.relay_cursor SET pos = 1000000")

    assert everything <= 2 * STREAMS * EVENTS
    assert backlog <= 64
    assert touched(es, tail.FETCH, 1000, LOAN_LOG, 0, 10_000) == 0


def test_a_page_of_a_table_touches_its_own_rows_and_those_before_them(
    es: Database, streams: list[UUID]
) -> None:
    middle = sorted(streams)[STREAMS // 2]

    page = touched(es, reading.STREAMS, NORTH, middle, NORTH, 10, NORTH)

    assert page <= 2 * 10 * EVENTS + 10
