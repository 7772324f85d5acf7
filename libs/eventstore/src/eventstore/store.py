"""What an event store promises: the words, and the port that every store implements."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID

from kernel.errors import Damaged, InvalidArgument, Outdated, RuleViolated, Unavailable

E = TypeVar("E")
StreamId: TypeAlias = UUID

CLOCK_TOLERANCE = timedelta(minutes=5)
LARGEST_EVENT = 192 * 1024
"""Bytes, before it is sealed. Seals and metadata have the rest of the 256 KiB that a log takes."""
LONGEST_STREAM = 10_000
"""Events: each command reads all of them."""
RETRY_AFTER_SECONDS = "10"  # a deployment takes longer than a lost connection


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the store: `pos` is 1..n without holes within (log, shard), in commit order."""

    log: str
    shard: int
    pos: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """Of one command. `request_id` is its idempotency key, `fingerprint` what it stands for."""

    tenant: str
    actor: str
    request_id: str
    fingerprint: bytes
    correlation_id: str
    causation_id: str
    occurred_at: datetime
    expected_version: int | None = None
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class New(Generic[E]):
    """An event to be appended. `device_time` is set where `occurred_at` had to be raised."""

    event: E
    occurred_at: datetime
    device_time: datetime | None = None

    @property
    def said_at(self) -> datetime:
        return self.device_time or self.occurred_at


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E]):
    """An event as it was stored; `meta` is bayline.event.v1.Metadata, as bytes."""

    version: int
    event: E
    occurred_at: datetime
    recorded_at: datetime
    event_id: UUID
    meta: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """A stored event that this release cannot read.

    `damage` says what is wrong with it; there is none where a newer release wrote it.
    """

    version: int
    type: str
    occurred_at: datetime
    recorded_at: datetime
    event_id: UUID
    meta: bytes
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What only one stream of a tenant may hold at a time, from `start` until before `end`."""

    scope: str
    key: str
    start: datetime | None = None
    end: datetime | None = None

    def overlaps(self, other: "Claim") -> bool:
        return (
            (self.scope, self.key) == (other.scope, other.key)
            and (self.start is None or other.end is None or self.start < other.end)
            and (other.start is None or self.end is None or other.start < self.end)
        )


@dataclass(frozen=True, slots=True)
class Used:
    """What a key was used for: by what request, and where its answer stands."""

    fingerprint: bytes
    stream: StreamId
    version: int
    position: Position


@dataclass(frozen=True, slots=True)
class Stream(Generic[E]):
    """A stream, and the earlier use of the key it was read with.

    Where the key was used before, these are the events of the stream it was used on, up to
    the version it answered with. `unread` are those that this release cannot read: what `events`
    add up to lacks them. It may be shown, if it says so; nothing may be decided on it.
    """

    id: StreamId
    events: tuple[Recorded[E], ...]
    used: Used | None = None
    unread: tuple[Unread, ...] = ()

    @classmethod
    def of(
        cls, stream: StreamId, stored: Iterable[Recorded[E] | Unread], used: Used | None = None
    ) -> "Stream[E]":
        """`stored` in the order of versions."""
        events: list[Recorded[E]] = []
        unread: list[Unread] = []
        for each in stored:
            if isinstance(each, Unread):
                unread.append(each)
            else:
                events.append(each)
        return cls(stream, tuple(events), used, tuple(unread))

    @property
    def version(self) -> int:
        return max(each[-1].version if each else 0 for each in (self.events, self.unread))

    def require_undamaged(self) -> None:
        """Before it is shown. Raises EventUnreadable."""
        for each in self.unread:
            if each.damage:
                raise EventUnreadable(
                    f"event {each.version} of the stream cannot be read: {each.damage}",
                    stream=str(self.id),
                    version=str(each.version),
                    event_type=each.type,
                    event_id=str(each.event_id),
                )

    def require_whole(self) -> None:
        """Before anything is decided on it. Raises EventUnreadable, WrittenByANewerRelease."""
        self.require_undamaged()
        for each in self.unread:
            raise WrittenByANewerRelease(
                "a newer release wrote to it; this one cannot read that, and decides nothing on it",
                stream=str(self.id),
                version=str(each.version),
                event_type=each.type,
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )


@dataclass(frozen=True, slots=True)
class Appended:
    """Where the last event stands; `replayed` if the key had been used by the same request."""

    version: int
    position: Position
    replayed: bool


class WrongVersion(Exception):
    """The stream is not at the version the decision was made on."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the stream is at version {version}")
        self.version = version


class ClaimTaken(Exception):
    """Another stream holds it."""

    def __init__(self, scope: str, key: str, holder: StreamId) -> None:
        super().__init__(f"{scope} {key} is held by {holder}")
        self.scope = scope
        self.key = key
        self.holder = holder


class KeyReused(InvalidArgument):
    """The idempotency key was used by another request."""


class OccurredInTheFuture(InvalidArgument):
    """The device's clock is ahead of ours by more than a tolerance."""


class EventTooLarge(InvalidArgument):
    """It says more than one event can: what was asked for must be asked for in parts."""


class StreamTooLong(RuleViolated):
    """So much has happened to it that nothing more can be told."""


class AlreadyClaimed(RuleViolated):
    """What a decider says of a taken claim, unless it has better words."""


class StoreUnavailable(Unavailable):
    """Nothing is known to be stored: the same key may be tried again."""


class WrittenByANewerRelease(Outdated):
    """An event of the stream is of a kind that this release does not know, and the next one does.

    Nothing was used up: the same request, with the same key, is decided where that one answers.
    """


class EventUnreadable(Damaged):
    """An event of the stream is stored, and no release of ours can have stored it like that."""


class EventStore(Protocol[E]):
    """One log. All methods are safe to retry with the same key."""

    log: str

    async def read(self, tenant: str, stream: StreamId, *, key: str = "") -> Stream[E]:
        """The stream and the key's earlier use, in one snapshot. Unknown streams are empty.

        What cannot be read is named in it, and never raises.
        """
        ...

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
        """Stores all of it or nothing: events, claims, and the key with its answer.

        `claims` are all that the stream holds in `known_scopes` after these events: others in
        these scopes are dropped, other scopes are left alone. No events is an answer too.
        Raises WrongVersion, ClaimTaken, KeyReused, OccurredInTheFuture, EventTooLarge,
        StreamTooLong, StoreUnavailable.
        """
        ...

    async def next_number(self, tenant: str, series: str) -> int:
        """The next of a gapless series; take it by the claim (`number/<series>`, n, for ever).

        A proposal: another may take it first, then the claim is refused and one asks again.
        """
        ...


def refuse_future(events: Sequence[New[E]], now: datetime) -> None:
    """A device may tell us late what happened, never early."""
    for new in events:
        if new.said_at > now + CLOCK_TOLERANCE:
            raise OccurredInTheFuture(
                "it is said to occur more than 5 minutes from now",
                occurred_at=new.said_at.isoformat(),
                now=now.isoformat(),
            )


def refuse_oversize(sizes: Iterable[int]) -> None:
    """What is stored must be read again: by gRPC, by Kafka, by whoever comes after."""
    for size in sizes:
        if size > LARGEST_EVENT:
            raise EventTooLarge(
                f"one command may say at most {LARGEST_EVENT} bytes, this one says {size}: "
                "ask for it in parts",
                bytes=str(size),
                most_bytes=str(LARGEST_EVENT),
            )


def refuse_overlong(expected: int, events: Sequence[New[E]]) -> None:
    if expected + len(events) > LONGEST_STREAM:
        raise StreamTooLong(
            f"{expected} events have happened to it, and at most {LONGEST_STREAM} can",
            events=str(expected),
            most_events=str(LONGEST_STREAM),
        )
