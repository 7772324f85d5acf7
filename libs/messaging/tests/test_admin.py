import asyncio
from functools import partial

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from messaging.admin import WrongPartitions, ensure_topics
from testkit.servers import KafkaServer
from testkit.topics import eventually, topics

pytestmark = pytest.mark.integration


async def has_settings(kafka: KafkaServer, topic: str, *expected: object) -> bool:
    return await settings_of(kafka, topic) == expected


async def settings_of(kafka: KafkaServer, topic: str) -> tuple[int, str | None, str | None]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (answer,) = await admin.describe_configs([resource])
    finally:
        await admin.close()
    values = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    return len(described["partitions"]), values.get("retention.ms"), values.get("cleanup.policy")


async def test_events_are_kept_for_ever_and_dead_letters_for_thirty_days(
    kafka_server: KafkaServer, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}JobEvent"
    async with topics(kafka_server, topic):
        await eventually(partial(has_settings, kafka_server, topic, 16, "-1", "delete"))
        await eventually(
            partial(has_settings, kafka_server, f"{topic}.dlq", 16, "2592000000", "delete")
        )


async def test_topics_are_made_once_however_many_ask(
    kafka_server: KafkaServer, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}JobEvent"

    async with topics(kafka_server, topic):
        again = (ensure_topics(kafka_server, [topic, f"{topic}.dlq"]) for _ in range(3))
        await asyncio.gather(*again)

        await eventually(partial(has_settings, kafka_server, topic, 16, "-1", "delete"))


async def test_a_topic_with_other_partitions_is_refused_by_name(
    kafka_server: KafkaServer, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}JobEvent"
    async with topics(kafka_server, topic, partitions=3):
        with pytest.raises(WrongPartitions, match=f"{topic} has 3 partitions, not 16"):
            await ensure_topics(kafka_server, [topic])
