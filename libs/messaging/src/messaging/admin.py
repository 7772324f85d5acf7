"""Topics, made once and checked ever after: 16 partitions for ever, events kept for ever."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from messaging.dlq import dlq_of
from messaging.envelope import PARTITIONS
from messaging.kafka import KafkaSettings, connection

DLQ_KEPT = timedelta(days=30)
KNOWN_SECONDS, POLL_SECONDS = 20.0, 0.05


class WrongPartitions(Exception):
    """A topic that has another number of partitions cannot keep the order of its streams."""


async def ensure_topics(
    settings: KafkaSettings,
    topics: Sequence[str],
    partitions: int = PARTITIONS,
    *,
    replication: int = 1,
) -> None:
    """Makes each topic and its `.dlq` unless it is there. Safe to run by several at once."""
    names = [topic for topic in topics if not topic.endswith(".dlq")]
    wanted = [_events(name, partitions, replication) for name in names]
    wanted += [_dlq(dlq_of(name), partitions, replication) for name in names]
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        await _create(admin, [topic for topic in wanted if topic.name not in existing])
        await _check(admin, [topic.name for topic in wanted], partitions)
    finally:
        await admin.close()


def _events(name: str, partitions: int, replication: int) -> NewTopic:
    return _topic(name, partitions, replication, kept=None)


def _dlq(name: str, partitions: int, replication: int) -> NewTopic:
    return _topic(name, partitions, replication, kept=DLQ_KEPT)


def _topic(name: str, partitions: int, replication: int, *, kept: timedelta | None) -> NewTopic:
    milliseconds = -1 if kept is None else kept // timedelta(milliseconds=1)
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": str(milliseconds),
        "min.insync.replicas": str(max(1, replication - 1)),
        "unclean.leader.election.enable": "false",
    }
    return NewTopic(name, partitions, replication, topic_configs=settings)


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[NewTopic]) -> None:
    if not topics:
        return
    answer = await admin.create_topics(list(topics))
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{name}: {' '.join(map(str, message))}")


async def _check(admin: AIOKafkaAdminClient, topics: Sequence[str], partitions: int) -> None:
    """A broker learns of a new topic a moment after it was made."""
    async with asyncio.timeout(KNOWN_SECONDS):
        while True:
            found = {
                each["topic"]: len(each["partitions"])
                for each in await admin.describe_topics(list(topics))
            }
            if all(found.get(topic) for topic in topics):
                break
            await asyncio.sleep(POLL_SECONDS)
    for topic in topics:
        if found[topic] != partitions:
            raise WrongPartitions(f"{topic} has {found[topic]} partitions, not {partitions}")
