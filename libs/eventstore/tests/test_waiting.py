"""Who comes second waits until the first has committed, and then sees what it did."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

import psycopg
import pytest

from devstack.databases import Database
from eventstore.chain import shard_of
from eventstore.postgres import PostgresEventStore
from eventstore.store import Claim, ClaimTaken, WrongVersion
from testkit.events import LOAN_LOG, LoanEvent, MeterRead
from testkit.store_contract import NORTH, a_request, a_stream, put
from testkit.topics import eventually

pytestmark = pytest.mark.integration

T = TypeVar("T")

APPEND = """
SELECT * FROM es.append(%s, 'north', %s, 0, 'the-first', 'fp', ARRAY[gen_random_uuid()], ARRAY['first'],
  ARRAY[now()], ARRAY['\\x01'::bytea], ARRAY['\\x02'::bytea], '{car}', '{car}', '{van}', '{"(,)"}')"""
WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'workshop_app'"


async def behind(es: Database, first: UUID, second: Awaitable[T]) -> T:
    """What the second is told, that asks while the first has appended and not committed."""
    with (
        psycopg.connect(es.superuser_dsn) as appending,
        psycopg.connect(es.superuser_dsn, autocommit=True) as watching,
    ):
        appending.execute(APPEND, (LOAN_LOG, first))
        asking = asyncio.ensure_future(second)
        await eventually(lambda: asking.done() or watching.execute(WAITING).rowcount)
        appending.commit()
        return await asking


def elsewhere(stream: UUID) -> UUID:
    """A stream of another shard."""
    while shard_of(NORTH, other := a_stream()) == shard_of(NORTH, stream):
        pass
    return other


async def test_the_same_key_on_another_stream_is_answered_as_the_first(
    es: Database, store: PostgresEventStore[LoanEvent]
) -> None:
    first = a_stream()
    second = elsewhere(first)
    request = replace(a_request(), request_id="the-first", fingerprint=b"fp")

    answer = await behind(es, first, put(store, second, 0, MeterRead(1, 1), request=request))

    assert answer.replayed
    assert answer.position.shard == shard_of(NORTH, first)
    assert (await store.read(NORTH, second)).version == 0


async def test_the_same_version_of_a_stream_is_refused(
    es: Database, store: PostgresEventStore[LoanEvent]
) -> None:
    stream = a_stream()

    with pytest.raises(WrongVersion, match="version 1"):
        await behind(es, stream, put(store, stream, 0, MeterRead(1, 1)))


async def test_the_same_claim_of_another_stream_is_refused(
    es: Database, store: PostgresEventStore[LoanEvent]
) -> None:
    first = a_stream()
    claiming = put(store, elsewhere(first), 0, MeterRead(1, 1), claims=[Claim("car", "van")])

    with pytest.raises(ClaimTaken) as refused:
        await behind(es, first, claiming)

    assert refused.value.holder == first
