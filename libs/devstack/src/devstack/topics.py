"""`bayline topics`: what Kafka holds."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import aiohttp
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.table import Table

from devstack import kafka, show
from devstack.accounts import Login
from devstack.api import caller
from devstack.failure import StackFailure
from devstack.stack import Stack
from devstack.tokens import Person
from messaging.kafka import connection


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    partitions: int
    records: int


def topics(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="The AsyncAPI document of all topics instead.")
    ] = False,
) -> None:
    """The topics, and how many records each holds."""
    if asyncapi:
        show.json(asyncio.run(_described()))
        return
    login = Stack.here().parts.environments.kafka
    try:
        found = asyncio.run(_topics(login))
    except (KafkaError, OSError) as error:
        raise StackFailure(
            f"Kafka does not answer: {error}", hint="start it: `bayline up`"
        ) from error
    if as_json:
        show.json([asdict(topic) for topic in found])
    else:
        _show(found)


async def _described() -> Any:
    async with aiohttp.ClientSession() as session:
        anybody = Person("acme", ["analyst"])
        return await caller(session, Stack.here(), anybody).get("/asyncapi.json")


async def _topics(login: Login) -> list[Topic]:
    async with kafka.admin(login) as admin:
        names = sorted(name for name in await admin.list_topics() if not name.startswith("__"))
        described = {one["topic"]: one for one in await admin.describe_topics(names)}
    partitions = {
        name: [TopicPartition(name, one["partition"]) for one in described[name]["partitions"]]
        for name in names
    }
    async with AIOKafkaConsumer(**connection(login)) as consumer:
        return [
            Topic(name, len(parts), await _records(consumer, parts))
            for name, parts in partitions.items()
        ]


async def _records(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> int:
    first = await consumer.beginning_offsets(partitions)
    end = await consumer.end_offsets(partitions)
    return int(sum(end[one] - first[one] for one in partitions))


def _show(found: Sequence[Topic]) -> None:
    table = Table()
    table.add_column("topic")
    table.add_column("partitions", justify="right")
    table.add_column("records", justify="right")
    for topic in found:
        table.add_row(topic.name, str(topic.partitions), str(topic.records))
    show.console.print(table)
