"""Where a consumer stands in each shard, and what a record found there means."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TypeAlias

from aiokafka import ConsumerRecord, TopicPartition
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from messaging.envelope import (
    SHARDS,
    Envelope,
    Undecodable,
    envelope_of,
    genesis,
    partition_of,
)

Transaction: TypeAlias = AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[TupleRow]]
Place: TypeAlias = tuple[str, int]  # log and shard

CREATE = """
INSERT INTO consumer.cursor (name, log, shard, pos, hash)
SELECT %s, * FROM unnest(%s::text[], %s::smallint[], %s::bigint[], %s::bytea[])
ON CONFLICT DO NOTHING"""
READ = """
SELECT log, shard, pos, hash, epoch, kafka_offset, unproven, layout FROM consumer.cursor
WHERE name = %s AND log = ANY(%s) AND partition = ANY(%s)"""
ADVANCE = """
UPDATE consumer.cursor c
SET pos = u.pos, hash = u.hash, epoch = u.epoch, kafka_offset = u.kafka_offset,
    at = clock_timestamp()
FROM unnest(%s::text[], %s::smallint[], %s::bigint[], %s::text[],
            %s::int[], %s::bigint[], %s::bytea[], %s::text[], %s::bigint[])
     AS u(log, shard, old_pos, old_epoch, layout, pos, hash, epoch, kafka_offset)
WHERE c.name = %s AND c.log = u.log AND c.shard = u.shard
  AND c.pos = u.old_pos AND c.epoch = u.old_epoch AND c.layout = u.layout
  AND EXISTS (SELECT FROM consumer.status s WHERE s.name = c.name AND s.state = 'running')
RETURNING c.shard, set_config('search_path', coalesce(%s, current_setting('search_path')), true)"""
PROVE = """
UPDATE consumer.cursor SET unproven = false, kafka_offset = %s
WHERE name = %s AND log = %s AND partition = %s"""


class Displaced(Exception):
    """The cursor is not where this process left it: somebody else works here, or changed something.

    Another process, a halt, a generation of the read model that came or went.
    """


class Diverged(Exception):
    """The log is not the one this consumer read so far. Only a person can say what is true.

    `under`: the epoch it was read under, if all that differs is the epoch.
    """

    def __init__(self, reason: str, *, log: str, epoch: str, under: str = "") -> None:
        super().__init__(reason)
        self.reason, self.log, self.epoch, self.under = reason, log, epoch, under


class Verdict(Enum):
    SEEN = auto()
    NEXT = auto()
    GAP = auto()


@dataclass(frozen=True, slots=True)
class Cursor:
    log: str
    shard: int
    pos: int
    hash: bytes
    epoch: str = ""
    kafka_offset: int = -1
    unproven: bool = False
    layout: int = 0  # of the generations that move along

    @property
    def place(self) -> Place:
        return self.log, self.shard

    @property
    def partition(self) -> TopicPartition:
        return TopicPartition(self.log, partition_of(self.shard))

    def judge(self, envelope: Envelope) -> Verdict:
        """Raises `Diverged` when the event cannot belong to the chain read so far."""
        if self.epoch and envelope.epoch != self.epoch:
            raise self._diverged(
                envelope, f"the store's epoch is no longer {self.epoch}", under=self.epoch
            )
        if envelope.pos < self.pos:
            return Verdict.SEEN
        if envelope.pos == self.pos:
            if envelope.hash != self.hash:
                raise self._diverged(envelope, "another event stands at the last position")
            return Verdict.SEEN
        if envelope.pos > self.pos + 1:
            return Verdict.GAP
        if envelope.previous_hash != self.hash:
            raise self._diverged(envelope, "the hash chain does not continue")
        return Verdict.NEXT

    def after(self, envelope: Envelope, kafka_offset: int | None = None) -> "Cursor":
        """Events out of the store leave the offset alone."""
        return Cursor(
            self.log,
            self.shard,
            envelope.pos,
            envelope.hash,
            envelope.epoch,
            self.kafka_offset if kafka_offset is None else kafka_offset,
            self.unproven,
            self.layout,
        )

    def _diverged(self, envelope: Envelope, reason: str, under: str = "") -> Diverged:
        where = f"{self.log}/{self.shard}/{envelope.pos}"
        return Diverged(f"{reason}, at {where}", log=self.log, epoch=envelope.epoch, under=under)


@dataclass(frozen=True, slots=True)
class Step:
    """One event to apply, and what applying it does to its cursor."""

    envelope: Envelope
    old: Cursor
    new: Cursor


@dataclass(frozen=True, slots=True)
class Gap:
    partition: TopicPartition
    place: Place
    to_pos: int  # 0: all there is now


@dataclass(slots=True)
class Batch:
    """What one poll brought, in order: `moves` holds the old and the new cursor of each place."""

    steps: list[Step] = field(default_factory=list)
    moves: dict[Place, tuple[Cursor, Cursor]] = field(default_factory=dict)
    strange: list[tuple[ConsumerRecord, Undecodable]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    diverged: Diverged | None = None

    def take(self, cursor: Cursor, envelope: Envelope, kafka_offset: int | None = None) -> Verdict:
        verdict = cursor.judge(envelope)
        if verdict is Verdict.NEXT:
            new = cursor.after(envelope, kafka_offset)
            self.steps.append(Step(envelope, cursor, new))
            self._move(cursor, new)
        elif verdict is Verdict.SEEN and kafka_offset is not None:
            self._move(cursor, replace(cursor, kafka_offset=kafka_offset))
        return verdict

    def at(self, place: Place, cursors: Mapping[Place, Cursor]) -> Cursor:
        return self.moves[place][1] if place in self.moves else cursors[place]

    def _move(self, old: Cursor, new: Cursor) -> None:
        first, _ = self.moves.get(new.place, (old, new))
        self.moves[new.place] = (first, new)


def sort(
    records: Mapping[TopicPartition, Sequence[ConsumerRecord]], cursors: Mapping[Place, Cursor]
) -> Batch:
    """A partition's records count up to its first gap, and up to the first sign of another log."""
    batch = Batch()
    for partition, found in records.items():
        for record in found:
            if not _take(batch, cursors, partition, record):
                break
    return batch


def _take(
    batch: Batch,
    cursors: Mapping[Place, Cursor],
    partition: TopicPartition,
    record: ConsumerRecord,
) -> bool:
    try:
        envelope = envelope_of(record)
    except Undecodable as error:
        batch.strange.append((record, error))
        return True
    place = envelope.topic, envelope.shard
    try:
        verdict = batch.take(batch.at(place, cursors), envelope, record.offset)
    except Diverged as error:
        batch.diverged = batch.diverged or error
        return False
    if verdict is Verdict.GAP:
        batch.gaps.append(Gap(partition, place, envelope.pos - 1))
    return verdict is not Verdict.GAP


def shards_of(partition: TopicPartition) -> range:
    return range(partition.partition, SHARDS, partition_of(SHARDS - 1) + 1)


async def load(
    tx: Transaction, name: str, partitions: Collection[TopicPartition]
) -> dict[Place, Cursor]:
    """The cursors of these partitions, made where there are none yet."""
    places = [(p.topic, shard) for p in partitions for shard in shards_of(p)]
    logs = [log for log, _ in places]
    shards = [shard for _, shard in places]
    hashes = [genesis(log, shard) for log, shard in places]
    await tx.execute(CREATE, (name, logs, shards, [0] * len(places), hashes))
    numbers = [p.partition for p in partitions]
    found = await tx.execute(READ, (name, list(set(logs)), numbers))
    cursors = [Cursor(*row) for row in await found.fetchall()]
    wanted = set(places)
    return {cursor.place: cursor for cursor in cursors if cursor.place in wanted}


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Transaction]:
    """What is sent in it travels with the next answer that is waited for, BEGIN and COMMIT too.

    Cancelled half way, it takes the connection with it: psycopg may then believe that there is no
    transaction while the server is in one.
    """
    async with pool.connection() as connection:
        try:
            async with connection.pipeline(), connection.transaction():
                yield connection
        except (asyncio.CancelledError, GeneratorExit):
            await connection.close()
            raise


@asynccontextmanager
async def advancing(
    tx: Transaction, name: str, moves: Iterable[tuple[Cursor, Cursor]], schema: str = ""
) -> AsyncIterator[None]:
    """Compare and set, all or nothing; what is sent inside travels with it.

    For the rest of the transaction, tables without a schema are those of `schema`, if there is one.
    Raises `Displaced` at the end, whatever else went wrong inside: then nothing may be committed.
    """
    ordered = sorted(moves, key=lambda move: move[0].place)
    old, new = [move[0] for move in ordered], [move[1] for move in ordered]
    moved = await tx.execute(
        ADVANCE,
        (
            [c.log for c in old],
            [c.shard for c in old],
            [c.pos for c in old],
            [c.epoch for c in old],
            [c.layout for c in old],
            [c.pos for c in new],
            [c.hash for c in new],
            [c.epoch for c in new],
            [c.kafka_offset for c in new],
            name,
            f'"{schema}"' if schema else None,
        ),
    )
    try:
        yield
    except Exception:
        await _check(moved, name, len(ordered))  # a displaced consumer's other troubles are no news
        raise
    await _check(moved, name, len(ordered))


async def _check(moved: AsyncCursor[TupleRow], name: str, expected: int) -> None:
    found = len(await moved.fetchall())
    if found != expected:
        raise Displaced(f"{name} moved {found} of {expected} cursors")


async def prove(tx: Transaction, name: str, partition: TopicPartition, next_offset: int) -> None:
    """The store was read to its end: what stands in the topic before `next_offset` is known."""
    await tx.execute(PROVE, (next_offset - 1, name, partition.topic, partition.partition))
