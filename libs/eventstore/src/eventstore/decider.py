"""Decide, then evolve: the one command path."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from time import monotonic
from typing import Generic, TypeAlias, TypeVar

from eventstore.store import (
    AlreadyClaimed,
    Claim,
    ClaimTaken,
    EventStore,
    KeyReused,
    Metadata,
    New,
    Position,
    Recorded,
    StoreUnavailable,
    StreamId,
    Used,
    WrongVersion,
)
from kernel.errors import Conflict, DomainError

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")

ATTEMPTS = 24
PATIENCE = 5.0  # seconds
SHORTEST_PAUSE, LONGEST_PAUSE = 0.004, 0.25


class StaleVersion(Conflict):
    """The caller decided on a version that is no longer the last (`If-Match`, `etag`)."""


class StreamContended(Conflict):
    """Others were faster each time."""


@dataclass(frozen=True, slots=True)
class Facts(Generic[F]):
    """What the rule needs of others, and at which version of them (by resource name)."""

    value: F
    versions: Mapping[str, int] = field(default_factory=dict)


FactsOf: TypeAlias = Callable[[S], Awaitable[Facts[F]]]
Guard: TypeAlias = Callable[[S], None]


async def no_facts(state: object) -> Facts[None]:
    return Facts(None)


def anyone(state: object) -> None:
    """The guard of what everyone may do."""


def _none_claimed(state: object) -> AbstractSet[Claim]:
    return frozenset()


def _already_claimed(scope: str, key: str, holder: StreamId) -> DomainError | None:
    return AlreadyClaimed("another has it", scope=scope, key=key, holder=str(holder))


def _no_site(state: object) -> str:
    return ""


def _now(event: object) -> datetime | None:
    return None


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, S, E, F]):
    """An aggregate: pure functions, no clock, no id, no I/O.

    `evolve` never fails. `claims` are all that the stream holds in this state; `scopes` are all
    that this release may drop, other releases' are left alone (`number/<series>` is never
    dropped, so it need not be there). `taken` words the refusal of a claim; None decides again,
    on new facts: the next number. `occurred` dates a correction, the only event that may occur
    before its predecessors: it must commute with those it passes, so that the fold in order of
    occurrence is the fold in order of versions.
    """

    initial: S
    decide: Callable[[C, S, F], list[E]]
    evolve: Callable[[S, E], S]
    claims: Callable[[S], AbstractSet[Claim]] = _none_claimed
    scopes: frozenset[str] = frozenset()
    taken: Callable[[str, str, StreamId], DomainError | None] = _already_claimed
    site: Callable[[S], str] = _no_site
    occurred: Callable[[E], datetime | None] = _now


@dataclass(frozen=True, slots=True)
class Answer(Generic[S]):
    """The state after the command, or as it was after the same command the first time."""

    stream_id: StreamId
    state: S
    version: int
    position: Position
    replayed: bool


async def execute(
    decider: Decider[C, S, E, F],
    command: C,
    *,
    stream_id: StreamId,
    store: EventStore[E],
    facts: FactsOf[S, F],
    metadata: Metadata,
    guard: Guard[S] = anyone,
) -> Answer[S]:
    """Runs the command against the stream's current state and returns the new one.

    `guard` sees the state first, that of an earlier answer too, and raises if the caller may
    not know or change it; `facts` may depend on the state as well.

    A key used before answers as it did then, even where the version that the caller expects is
    stale by now: a retry must not be refused because of its own effect. A command that loses a
    race, or whose outcome is unknown, is decided again on fresh state and fresh facts: it may
    now be refused, which is the point. An expected version is never raced for again.

    Nothing is decided, guarded or answered on a stream that this release cannot read as a whole:
    what it lacks may be just what would refuse the command.
    """
    lost: DomainError = StreamContended("others were faster each time", stream=str(stream_id))
    for pause in _pauses():
        if pause:
            await asyncio.sleep(pause)
        try:
            return await _attempt(decider, command, stream_id, store, facts, metadata, guard)
        except StoreUnavailable as unavailable:
            lost = unavailable
        except ClaimTaken as taken:
            refusal = decider.taken(taken.scope, taken.key, taken.holder)
            if refusal is not None:
                raise refusal from taken
        except WrongVersion:
            continue
    raise lost


def fold(
    evolve: Callable[[S, E], S],
    initial: S,
    events: Iterable[Recorded[E]],
    *,
    as_of: datetime | None = None,
    known_at: datetime | None = None,
) -> S:
    """The state these events add up to, in the order of their versions.

    With `as_of`, of what had occurred by then, in the order of occurrence. With `known_at`, of
    what had been recorded by then.
    """
    if known_at is not None:
        events = (each for each in events if each.recorded_at <= known_at)
    if as_of is not None:
        events = (each for each in events if each.occurred_at <= as_of)
        events = sorted(events, key=lambda each: (each.occurred_at, each.version))
    return reduce(evolve, (each.event for each in events), initial)


async def _attempt(
    decider: Decider[C, S, E, F],
    command: C,
    stream_id: StreamId,
    store: EventStore[E],
    facts: FactsOf[S, F],
    metadata: Metadata,
    guard: Guard[S],
) -> Answer[S]:
    stream = await store.read(metadata.tenant, stream_id, key=metadata.request_id)
    used = stream.used
    if used is not None:
        _refuse_other(used, store.log, metadata)
    stream.require_whole()
    state = fold(decider.evolve, decider.initial, stream.events)
    guard(state)
    if used is not None:
        return Answer(used.stream, state, used.version, used.position, replayed=True)
    if metadata.expected_version not in {None, stream.version}:
        raise StaleVersion("it has changed since", current_version=str(stream.version))
    known = await facts(state)
    events = decider.decide(command, state, known.value)
    after = reduce(decider.evolve, events, state)
    claims = decider.claims(after)
    appended = await store.append(
        stream_id,
        stream.version,
        _dated(decider, stream.events, events, metadata.occurred_at),
        claims,
        decider.scopes | {claim.scope for claim in claims},
        metadata,
        site=decider.site(after),
        fact_versions=known.versions,
    )
    if appended.replayed:
        return await _attempt(decider, command, stream_id, store, facts, metadata, guard)
    return Answer(stream_id, after, appended.version, appended.position, replayed=False)


def _refuse_other(used: Used, log: str, metadata: Metadata) -> None:
    if (used.fingerprint, used.position.log) != (metadata.fingerprint, log):
        raise KeyReused("the key was used by another request", key=metadata.request_id)


def _dated(
    decider: Decider[C, S, E, F],
    past: Sequence[Recorded[E]],
    events: Iterable[E],
    said_at: datetime,
) -> list[New[E]]:
    """Each event's time: its own if it is a correction, else not before what came before it."""
    latest = max((each.occurred_at for each in past), default=said_at)
    dated = []
    for event in events:
        own = decider.occurred(event)
        if own is not None:
            dated.append(New(event, own))
            continue
        latest = max(latest, said_at)
        dated.append(New(event, latest, device_time=said_at if latest > said_at else None))
    return dated


def _pauses() -> Iterator[float]:
    """None, then longer and longer ones of random length: fifty racers all get their turn."""
    ends = monotonic() + PATIENCE
    yield 0.0
    longest = SHORTEST_PAUSE
    for _ in range(ATTEMPTS - 1):
        if monotonic() > ends:
            return
        yield random.uniform(0, longest)  # noqa: S311 -- spreads racers, guards nothing
        longest = min(2 * longest, LONGEST_PAUSE)
