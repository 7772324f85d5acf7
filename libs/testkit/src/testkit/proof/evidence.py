"""What a system leaves behind once it is quiet, in the shape the invariants look at."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from eventstore.store import Claim
from messaging.envelope import Envelope
from testkit.proof.history import Command

Place: TypeAlias = tuple[str, int]  # log and shard
Rows: TypeAlias = Mapping[str, Sequence[Any]]  # of each table, in no order


@dataclass(frozen=True, slots=True)
class StoredEvent:
    log: str
    shard: int
    pos: int
    tenant: str
    stream: UUID
    ver: int
    event_id: UUID
    type: str
    occurred_at: datetime
    recorded_at: datetime
    data: bytes
    meta: bytes
    hash: bytes

    @property
    def place(self) -> Place:
        return self.log, self.shard


class UsedKey(NamedTuple):
    """What a store remembers of an idempotency key."""

    log: str
    tenant: str
    key: str
    stream: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Held:
    """A claim with its holder."""

    tenant: str
    stream: UUID
    claim: Claim

    @property
    def scope(self) -> str:
        return self.claim.scope

    @property
    def key(self) -> str:
        return self.claim.key


@dataclass(frozen=True, slots=True)
class Head:
    pos: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Consumed:
    """Where a consumer of these logs came to, and what it could not do."""

    name: str
    cursors: Mapping[Place, int]
    halted: str = ""
    parked: int = 0
    rebuild_needed: int = 0


class Audited(NamedTuple):
    """A record of the audit; `hash` is what its event must have had, empty if it is none of ours."""

    place: Place
    pos: int
    tenant: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """`events` stand in the order of log, shard and pos; `topics` in the order of offsets.

    `commands` are all that were ever sent, or None where nobody kept a record.
    """

    commands: Sequence[Command] | None = None
    events: Sequence[StoredEvent] = ()
    heads: Mapping[Place, Head] = field(default_factory=dict)
    relayed: Mapping[Place, int] = field(default_factory=dict)
    keys: Sequence[UsedKey] = ()
    claims: frozenset[Held] = frozenset()
    owed_claims: frozenset[Held] = frozenset()  # of the folded streams
    unread: Sequence[str] = ()  # events that this release cannot read
    topics: Mapping[str, Sequence[Envelope]] = field(default_factory=dict)
    strangers: Sequence[str] = ()  # records that no relay of ours published
    consumers: Sequence[Consumed] = ()
    unchecked: Sequence[str] = ()  # consumers whose rows nobody folds anew
    rows: Rows = field(default_factory=dict)
    owed_rows: Rows = field(default_factory=dict)  # of the whole log, projected in one go
    audited: Sequence[Audited] = ()
    broken_seals: Sequence[str] = ()  # what the audit log is not, though it was signed

    def by_place(self) -> dict[Place, list[StoredEvent]]:
        found: defaultdict[Place, list[StoredEvent]] = defaultdict(list)
        for event in self.events:
            found[event.place].append(event)
        return dict(found)
