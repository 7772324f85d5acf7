"""An event store without a database, for tests: the same promises, kept by one event loop."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from eventstore.chain import MICROSECOND, SHARDS, shard_of
from eventstore.mapping import OneofCodec
from eventstore.meta import metas_of
from eventstore.store import (
    Appended,
    Claim,
    ClaimTaken,
    KeyReused,
    Metadata,
    New,
    Position,
    Recorded,
    Stream,
    StreamId,
    Unread,
    Used,
    WrongVersion,
    refuse_future,
    refuse_overlong,
    refuse_oversize,
)
from kernel.clock import Clock, SystemClock
from kernel.ids import IdGenerator, Uuid7

E = TypeVar("E")

LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Head:
    pos: int = 0
    at: datetime = LONG_AGO


class InMemoryEventStore(Generic[E]):
    """Keeps events as they are: nothing is sealed. With a `codec`, what it cannot write is not kept."""

    def __init__(
        self,
        *,
        log: str,
        codec: OneofCodec[E] | None = None,
        clock: Clock | None = None,
        ids: IdGenerator | None = None,
    ) -> None:
        self.log = log
        self._codec = codec
        self._clock = clock or SystemClock()
        self._ids = ids or Uuid7()
        self._heads = [Head() for _ in range(SHARDS)]
        self._streams: dict[tuple[str, StreamId], list[Recorded[E] | Unread]] = defaultdict(list)
        self._used: dict[tuple[str, str], Used] = {}
        self._claims: dict[tuple[str, StreamId], set[Claim]] = defaultdict(set)

    async def read(self, tenant: str, stream: StreamId, *, key: str = "") -> Stream[E]:
        used = self._used.get((tenant, key))
        if used is None:
            return Stream.of(stream, self._streams[tenant, stream])
        return Stream.of(used.stream, self._streams[tenant, used.stream][: used.version], used)

    async def append(
        self,
        stream: StreamId,
        expected: int,
        events: Sequence[New[E]],
        claims: Collection[Claim],
        known_scopes: Collection[str],
        metadata: Metadata,
        *,
        site: str,
        fact_versions: Mapping[str, int],
    ) -> Appended:
        refuse_future(events, self._clock.now())
        refuse_overlong(expected, events)
        if self._codec is not None:
            refuse_oversize(self._codec.encode(new.event).ByteSize() for new in events)
        tenant = metadata.tenant
        if used := self._used.get((tenant, metadata.request_id)):
            return _replayed(used, metadata)
        past = self._streams[tenant, stream]
        if len(past) != expected:
            raise WrongVersion(len(past))
        kept = {each for each in self._claims[tenant, stream] if each.scope not in known_scopes}
        self._refuse_taken(tenant, stream, claims)
        self._claims[tenant, stream] = kept | set(claims)
        metas = metas_of(
            events, metadata, site=site, dataschema=self.log, fact_versions=fact_versions
        )
        position = self._record(tenant, stream, events, metas)
        used = Used(metadata.fingerprint, stream, len(past), position)
        self._used[tenant, metadata.request_id] = used
        return Appended(used.version, position, replayed=False)

    def append_unread(
        self,
        tenant: str,
        stream: StreamId,
        kind: str,
        at: datetime,
        *,
        damage: str = "",
        request: Metadata | None = None,
    ) -> None:
        """What another release would append, or a broken disk leave behind."""
        past = self._streams[tenant, stream]
        past.append(Unread(len(past) + 1, kind, at, at, self._ids.new(), b"", damage))
        if request is not None:
            place = Position(self.log, shard_of(tenant, stream), 0)
            self._used[tenant, request.request_id] = Used(
                request.fingerprint, stream, len(past), place
            )

    async def next_number(self, tenant: str, series: str) -> int:
        scope = f"number/{series}"
        taken = (int(each.key) for each in self._held(tenant) if each.scope == scope)
        return max(taken, default=0) + 1

    def _record(
        self, tenant: str, stream: StreamId, events: Sequence[New[E]], metas: Sequence[bytes]
    ) -> Position:
        shard = shard_of(tenant, stream)
        head, past = self._heads[shard], self._streams[tenant, stream]
        at = max(self._clock.now(), head.at + MICROSECOND)
        for new, meta in zip(events, metas, strict=True):
            version = len(past) + 1
            past.append(Recorded(version, new.event, new.occurred_at, at, self._ids.new(), meta))
            head.pos, head.at = head.pos + 1, at
        return Position(self.log, shard, head.pos)

    def _refuse_taken(self, tenant: str, stream: StreamId, claims: Collection[Claim]) -> None:
        for claim in sorted(claims, key=lambda each: (each.scope, each.key)):
            for (owner, holder), held in self._claims.items():
                if owner == tenant and holder != stream and any(map(claim.overlaps, held)):
                    raise ClaimTaken(claim.scope, claim.key, holder)

    def _held(self, tenant: str) -> list[Claim]:
        return [
            each
            for (owner, _), claims in self._claims.items()
            if owner == tenant
            for each in claims
        ]


def _replayed(used: Used, metadata: Metadata) -> Appended:
    if used.fingerprint != metadata.fingerprint:
        raise KeyReused("the key was used by another request", key=metadata.request_id)
    return Appended(used.version, used.position, replayed=True)
