"""What a consumer projects, and where it finds it: topics, and the stores behind them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiokafka import TopicPartition

from messaging.envelope import PARTITIONS, Envelope
from messaging.kafka import KafkaSettings
from messaging.parking import Projection


@dataclass(frozen=True, slots=True)
class Heads:
    """Where a store's log stands now: its last position in each shard."""

    epoch: str
    stored: Sequence[int]


class Backfill(Protocol):
    """A store's log, asked for what Kafka does not show."""

    async def heads(self, log: str) -> Heads: ...

    def read(self, log: str, shard: int, from_pos: int, to_pos: int) -> AsyncIterator[Envelope]:
        """In `pos` order, both ends included; `to_pos` 0: all there is now."""
        ...


class StoreSilent(Exception):
    """The store did not answer, or not with what was asked for: only this partition waits."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A projection, the logs it folds, and where they are."""

    kafka: KafkaSettings
    topics: Sequence[str]
    projection: Projection
    backfill: Backfill

    def partitions(self, part: int = 0, parts: int = 1) -> list[TopicPartition]:
        mine = range(part, PARTITIONS, parts)
        return [TopicPartition(topic, number) for topic in self.topics for number in mine]
