"""The broker lets each service do its own work and no other, and strangers nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from devstack import accounts, kafka, topology
from devstack.accounts import Login
from messaging.dlq import dlq_of
from messaging.kafka import connection, producer
from testkit.servers import KafkaServer
from testkit.topics import topics

pytestmark = pytest.mark.integration

JOBS = "bayline.workshop.v1.JobEvent"
FLEET = "bayline.vehicle.v1.VehicleEvent"


@pytest.fixture
async def prefix(kafka_server: KafkaServer, topic_prefix: str) -> AsyncIterator[str]:
    """Of topics of its own, to which each service has the rights that it has in the stack."""
    if not kafka_server.guarded:
        pytest.skip("the given broker asks nobody who they are")
    rights = [
        right for each in topology.SERVICES for right in accounts.rights_of(each, topic_prefix)
    ]
    async with topics(kafka_server, topic_prefix + JOBS, topic_prefix + FLEET):
        async with kafka.admin(kafka_server.login(accounts.ADMIN)) as client:
            await accounts.admit(client, {}, rights)
        yield topic_prefix


async def _publish(login: Login, topic: str) -> None:
    async with producer(login) as client:
        await client.send_and_wait(topic, b"event", partition=0)


@asynccontextmanager
async def _consumer(login: Login, *topics: str, **settings: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(*topics, **connection(login), **settings)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _read(login: Login, topic: str) -> bytes:
    """The first record, past any group."""
    async with _consumer(login) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        return bytes((await consumer.getone()).value)


async def _read_in_group(login: Login, topic: str, group: str) -> bytes:
    async with _consumer(login, topic, group_id=group, auto_offset_reset="earliest") as consumer:
        return bytes((await consumer.getone()).value)


async def test_a_service_publishes_its_own_events_and_its_peer_reads_them(
    kafka_server: KafkaServer, prefix: str
) -> None:
    await _publish(kafka_server.login("workshop"), prefix + JOBS)

    group = f"vehicle.{prefix}history"
    assert await _read_in_group(kafka_server.login("vehicle"), prefix + JOBS, group) == b"event"
    assert await _read(kafka_server.login("gateway"), prefix + JOBS) == b"event"


async def test_a_service_parks_what_it_cannot_read(kafka_server: KafkaServer, prefix: str) -> None:
    await _publish(kafka_server.login("vehicle"), dlq_of(prefix + JOBS))


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("vehicle", JOBS),
        ("technician", FLEET),
        ("gateway", JOBS),
        ("gateway", dlq_of(JOBS)),
        ("technician", dlq_of(FLEET)),
    ],
)
async def test_no_service_publishes_for_another(
    kafka_server: KafkaServer, prefix: str, user: str, topic: str
) -> None:
    with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        await _publish(kafka_server.login(user), prefix + topic)


async def test_no_service_sees_what_is_not_for_it(kafka_server: KafkaServer, prefix: str) -> None:
    async with kafka.admin(kafka_server.login("technician")) as client:
        [theirs] = await client.describe_topics([prefix + FLEET])
        [ours] = await client.describe_topics([prefix + JOBS])

    assert theirs["error_code"] == TopicAuthorizationFailedError.errno
    assert (ours["error_code"], len(ours["partitions"])) == (0, topology.PARTITIONS)


async def test_no_service_joins_the_consumers_of_another(
    kafka_server: KafkaServer, prefix: str
) -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await _read_in_group(kafka_server.login("vehicle"), prefix + JOBS, "workshop.job-list")


async def test_no_service_makes_or_deletes_a_topic(kafka_server: KafkaServer, prefix: str) -> None:
    async with kafka.admin(kafka_server.login("workshop")) as client:
        made = await client.create_topics([NewTopic(f"{prefix}new", 1, 1)])
        gone = await client.delete_topics([prefix + JOBS])

    refusal = TopicAuthorizationFailedError.errno
    assert [code for _, code, *_ in made.topic_errors] == [refusal]
    assert [code for _, code, *_ in gone.topic_error_codes] == [refusal]


@pytest.mark.parametrize(
    ("user", "password"), [("workshop", "wrong"), ("nobody", "tests-only"), ("", "")]
)
async def test_a_stranger_does_not_get_in(
    kafka_server: KafkaServer, prefix: str, user: str, password: str
) -> None:
    with pytest.raises(KafkaConnectionError):
        await _read(kafka_server.login(user, password), prefix + JOBS)
