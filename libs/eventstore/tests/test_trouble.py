from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devstack.databases import Database
from eventstore.keyring import InMemoryKeyring
from eventstore.postgres import PostgresEventStore
from eventstore.sealing import Sealing
from eventstore.store import StoreUnavailable
from testkit.events import LOAN_LOG, Lend, LoanEvent, MeterRead, loan_codec
from testkit.store_contract import ANNA, MONDAY, NORTH, VAN, a_request, a_stream, put, run

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[Any]]

pytestmark = pytest.mark.integration


@pytest.fixture
async def impatient(es: Database) -> AsyncIterator[PostgresEventStore[LoanEvent]]:
    options = {"autocommit": True, "options": "-c lock_timeout=50ms"}
    pool: Pool = AsyncConnectionPool(es.app_dsn, min_size=1, open=False, kwargs=options)
    async with pool:
        yield PostgresEventStore(pool, loan_codec(), Sealing(InMemoryKeyring()), log=LOAN_LOG)


async def test_a_lock_that_is_not_given_in_time_leaves_nothing_behind(
    es: Database, impatient: PostgresEventStore[LoanEvent]
) -> None:
    stream, request = a_stream(), a_request()
    with psycopg.connect(es.superuser_dsn) as other:
        other.execute("SELECT FROM es.head FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            await put(impatient, stream, 0, MeterRead(1, 1), request=request)

    assert (await put(impatient, stream, 0, MeterRead(1, 1), request=request)).replayed is False


async def test_a_connection_that_was_cut_is_replaced_and_the_command_goes_through(
    es: Database, impatient: PostgresEventStore[LoanEvent]
) -> None:
    await impatient.read(NORTH, a_stream())
    with psycopg.connect(es.superuser_dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'workshop_app'"
        )

    answer = await run(impatient, a_stream(), Lend(VAN, ANNA, MONDAY))

    assert answer.version == 1


async def test_a_log_nobody_created_is_a_mistake_and_not_a_refusal(app_pool: Pool) -> None:
    store: PostgresEventStore[LoanEvent] = PostgresEventStore(
        app_pool, loan_codec(), Sealing(InMemoryKeyring()), log="bayline.nobody.v1.Event"
    )

    with pytest.raises(psycopg.errors.NoDataFound):
        await put(store, a_stream(), 0, MeterRead(1, 1))


async def test_the_log_itself_takes_no_event_that_kafka_would_refuse(
    store: PostgresEventStore[LoanEvent],
) -> None:
    """Of whatever it consists: here of metadata, which nobody measures before."""
    stream, endless = a_stream(), replace(a_request(), actor="x" * 262_144)

    with pytest.raises(psycopg.errors.CheckViolation):
        await put(store, stream, 0, MeterRead(1, 1), request=endless)

    assert (await store.read(NORTH, stream)).version == 0


async def test_a_stream_of_another_log_is_not_there(
    es: Database, app_pool: Pool, store: PostgresEventStore[LoanEvent]
) -> None:
    stream = a_stream()
    await put(store, stream, 0, MeterRead(1, 1))
    other: PostgresEventStore[LoanEvent] = PostgresEventStore(
        app_pool, loan_codec(), Sealing(InMemoryKeyring()), log="bayline.other.v1.Event"
    )

    assert (await other.read(NORTH, stream)).events == ()
