"""Where a reader of a topic stands: the epoch and 64 positions, sealed for its tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bayline.event.v1.event_log_service_pb2 import Heads
from kernel.errors import Conflict
from runtime.positions import CursorUnreadable, Purpose, Seals

SHARDS = 64


class CursorExpired(Conflict):
    """The store was restored: what the reader saw may have been undone."""


@dataclass(slots=True)
class Cursor:
    """Mutable: it moves with the reader. `positions[s]` is the last position seen of shard s."""

    topic: str
    epoch: str
    positions: list[int]

    @classmethod
    def at(cls, topic: str, heads: Heads) -> Self:
        return cls(topic, heads.epoch, list(heads.heads))

    @classmethod
    def beginning(cls, topic: str, heads: Heads) -> Self:
        return cls(topic, heads.epoch, [0] * SHARDS)

    @classmethod
    def opened(cls, token: str, seals: Seals, tenant: str, topic: str, heads: Heads) -> Self:
        plain = seals.open(Purpose.CURSOR, tenant, token)
        name, _, vector = plain.partition(b"\0")
        if name.decode() != topic:
            raise CursorUnreadable(f"this cursor is of {name.decode()}, not of {topic}")
        found = Heads.FromString(vector)
        if found.epoch != heads.epoch:
            raise CursorExpired("the store was restored since this cursor was given", topic=topic)
        return cls(topic, found.epoch, list(found.heads))

    def sealed(self, seals: Seals, tenant: str) -> str:
        vector = Heads(epoch=self.epoch, heads=self.positions).SerializeToString()
        return seals.seal(Purpose.CURSOR, tenant, self.topic.encode() + b"\0" + vector)

    def sees(self, shard: int, pos: int) -> bool:
        """Moves to the event, unless it was seen before."""
        if pos <= self.positions[shard]:
            return False
        self.positions[shard] = pos
        return True

    def joins(self, passed: Sequence[int]) -> None:
        """Everything up to these positions is seen, or was not for this reader."""
        self.positions = list(map(max, self.positions, passed))
