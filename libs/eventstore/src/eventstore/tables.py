"""A log as a table: each stream folded to the resource it says now, what persons said left sealed."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import structlog
from google.protobuf.message import Message

from eventstore.decider import Decider, fold
from eventstore.decoding import decoded
from eventstore.mapping import OneofCodec
from eventstore.sealing import veiled
from eventstore.store import Stream
from eventstore.tail import Row
from kernel.errors import DomainError

E = TypeVar("E")
S = TypeVar("S")

Resource: TypeAlias = Callable[[UUID, int, S], Message | None]
"""Of a stream, a version and the state there; None for a stream that has come to nothing."""

UNREAD = "unread_events"
"""The field of each resource that tells how many events it lacks."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Folded:
    """A stream at its last version: a resource, or the problem that stands in its way."""

    stream: UUID
    version: int
    changed_at: datetime
    resource: Message | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table(Generic[S, E]):
    """One stream that cannot be folded is named, and no reason to fold no other."""

    codec: OneofCodec[E]
    decider: Decider[Any, S, E, Any]
    resource: Resource[S]

    async def rows(self, events: AsyncIterator[Row]) -> AsyncIterator[Folded]:
        """`events` come stream by stream, each from its first version on."""
        stored: list[Row] = []
        async for event in events:
            if stored and event.stream != stored[0].stream:
                for row in self._row(stored):
                    yield row
                stored = []
            stored.append(event)
        if stored:
            for row in self._row(stored):
                yield row

    def _row(self, stored: Sequence[Row]) -> list[Folded]:
        resource, problem = self._told(stored)
        if resource is None and not problem:
            return []
        last = stored[-1]
        return [Folded(last.stream, last.ver, last.recorded_at, resource, problem)]

    def _told(self, stored: Sequence[Row]) -> tuple[Message | None, str]:
        try:
            return self._resource(stored), ""
        except DomainError as error:
            return None, f"{error.reason}: {error.message}"
        except Exception as error:
            stream = str(stored[-1].stream)
            log.exception("stream_not_folded", log=self.codec.log, stream_id=stream)
            return None, f"INTERNAL: {type(error).__name__}"

    def _resource(self, stored: Sequence[Row]) -> Message | None:
        stream = Stream.of(stored[-1].stream, map(self._decoded, stored))
        stream.require_undamaged()
        state = fold(self.decider.evolve, self.decider.initial, stream.events)
        resource = self.resource(stream.id, stream.version, veiled(state))
        if resource is None:
            stream.require_whole()
        elif stream.unread:
            setattr(resource, UNREAD, len(stream.unread))
        return resource

    def _decoded(self, row: Row) -> Any:
        times = row.occurred_at, row.recorded_at
        return decoded(self.codec, row.ver, row.type, *times, row.event_id, row.data, row.meta)
