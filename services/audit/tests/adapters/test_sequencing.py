import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from audit.adapters.sequencer import Sequencer, record_of
from audit.domain import record
from messaging.envelope import headers_of
from messaging.kafka import producer
from messaging.status import register, resume
from services.audit.tests.adapters.archive import Archive
from testkit.servers import KafkaServer
from testkit.topics import WrittenLog, eventually, everything_in, publish, topics

pytestmark = pytest.mark.integration


@pytest.fixture
async def published(
    archive: Archive, kafka_server: KafkaServer, topic_prefix: str
) -> AsyncIterator[Archive]:
    """Its log has a topic."""
    archive.written = WrittenLog(f"{topic_prefix}bayline.workshop.v1.JobEvent")
    async with topics(kafka_server, archive.written.log):
        yield archive


async def test_every_event_becomes_a_record_of_the_bytes_that_were_published(
    published: Archive, kafka_server: KafkaServer
) -> None:
    await publish(kafka_server, published.happened(60))

    async with published.consuming(kafka_server):
        await eventually(lambda: published.has_sequenced(60))

    records = [record.read(each) for each in published.records()]
    topic = await everything_in(kafka_server, published.written.log)
    assert sorted((each.headers, each.value) for each in records) == sorted(
        (tuple(each.headers), each.value) for each in topic
    )
    assert published.findings(anchored=False) == []


async def test_what_comes_again_is_recorded_once(
    published: Archive, kafka_server: KafkaServer
) -> None:
    events = published.happened(20)
    for _ in range(3):
        await publish(kafka_server, events)

    async with published.consuming(kafka_server):
        await publish(kafka_server, published.happened(1))
        await eventually(lambda: published.has_sequenced(21))

    assert len(published.records()) == 21


async def test_what_the_topic_lacks_is_read_from_the_store_with_the_same_bytes(
    published: Archive, kafka_server: KafkaServer
) -> None:
    job = UUID(int=7)
    events = [published.written.append(job, b"%d" % number) for number in range(5)]
    await publish(kafka_server, [events[0], events[4]])

    async with published.consuming(kafka_server):
        await eventually(lambda: published.has_sequenced(5))

    assert published.records() == [record_of(event) for event in events]
    assert record_of(replace(events[2], headers=headers_of(events[2]))) == record_of(events[2])


async def test_tenants_have_logs_of_their_own(archive: Archive) -> None:
    await archive.sequence(archive.happened(9) + archive.happened(4, "globex"))
    await archive.sequence(archive.happened(2, "globex") + archive.happened(1))

    assert (len(archive.records()), len(archive.records("globex"))) == (10, 6)
    assert archive.findings(anchored=False) == archive.findings("globex", anchored=False) == []


async def test_two_processes_that_append_at_once_make_one_log(archive: Archive) -> None:
    batches = [archive.happened(7) for _ in range(12)]

    await asyncio.gather(*map(archive.sequence, batches))

    assert len(archive.records()) == 84
    assert archive.findings(anchored=False) == []


async def test_a_record_that_no_relay_published_halts_the_audit_and_is_never_parked(
    published: Archive, kafka_server: KafkaServer
) -> None:
    await publish(kafka_server, published.happened(5))
    async with published.consuming(kafka_server):
        await eventually(lambda: published.has_sequenced(5))
        async with producer(kafka_server) as kafka:
            await kafka.send_and_wait(published.written.log, b"not ours", partition=0)

        await eventually(lambda: halted(published))
        await publish(kafka_server, published.happened(5))

        async with published.pool.connection() as connection:
            status = await register(connection, Sequencer.name)
        assert "not one of our records" in status.reason
        await resume(published.pool, Sequencer.name, status.epoch)
        await eventually(lambda: published.has_sequenced(10))

    assert published.rows("SELECT count(*) FROM consumer.parked") == [(0,)]


async def test_an_event_of_another_chain_halts_the_audit(
    published: Archive, kafka_server: KafkaServer
) -> None:
    job = UUID(int=7)
    first = published.written.append(job, b"as it was")
    await publish(kafka_server, [first])
    async with published.consuming(kafka_server):
        await eventually(lambda: published.has_sequenced(1))

        await publish(kafka_server, [replace(first, data=b"as somebody wants it")])

        await eventually(lambda: halted(published))
    assert len(published.records()) == 1


@pytest.mark.parametrize("table", ["log", "leaf", "node", "checkpoint", "anchor"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit.{} SET tenant = 'globex'", "DELETE FROM audit.{}", "TRUNCATE audit.{} CASCADE"],
)
async def test_nobody_changes_what_is_recorded_not_even_its_owner(
    signed_archive: Archive, table: str, statement: str
) -> None:
    for dsn in (signed_archive.database.owner_dsn, signed_archive.database.projector_dsn):
        with (
            psycopg.connect(dsn) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.format(table).encode())


async def halted(archive: Archive) -> bool:
    async with archive.pool.connection() as connection:
        return (await register(connection, Sequencer.name)).halted
