"""A log as a table: each stream folded to the resource it says now, what persons said left sealed."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from google.protobuf.message import Message

from eventstore.decider import Decider
from eventstore.mapping import OneofCodec
from eventstore.sealing import veiled
from eventstore.tail import Row

E = TypeVar("E")
S = TypeVar("S")

Resource: TypeAlias = Callable[[UUID, int, S], Message | None]
"""Of a stream, a version and the state there; None for a stream that has come to nothing."""


@dataclass(frozen=True, slots=True)
class Folded:
    stream: UUID
    version: int
    changed_at: datetime
    resource: Message


@dataclass(frozen=True, slots=True)
class Table(Generic[S, E]):
    codec: OneofCodec[E]
    decider: Decider[Any, S, E, Any]
    resource: Resource[S]

    async def rows(self, events: AsyncIterator[Row]) -> AsyncIterator[Folded]:
        """`events` come stream by stream, each from its first version on."""
        state, last = self.decider.initial, None
        async for event in events:
            if last is not None and event.stream != last.stream:
                for row in self._row(state, last):
                    yield row
                state = self.decider.initial
            state = self.decider.evolve(state, self._decoded(event))
            last = event
        if last is not None:
            for row in self._row(state, last):
                yield row

    def _decoded(self, event: Row) -> E:
        return self.codec.decode(event.type, event.data, event.ver)

    def _row(self, state: S, last: Row) -> list[Folded]:
        resource = self.resource(last.stream, last.ver, veiled(state))
        return [Folded(last.stream, last.ver, last.recorded_at, resource)] if resource else []
