"""Events that could not be applied: kept in order, per stream, until a person retries or discards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, Protocol, TypeAlias

from aiokafka import ConsumerRecord
from psycopg.rows import class_row

from messaging.cursor import Pool, Transaction
from messaging.envelope import Envelope, Headers, envelope_of, headers_of, partition_of
from messaging.generations import aim, schemas_of
from messaging.status import passed_over
from messaging.trouble import passing, told

StreamKey: TypeAlias = tuple[str, str, str]  # log, tenant, stream

LOCK = """
SELECT log, tenant, stream FROM consumer.parked_stream
WHERE name = %s AND (log, tenant, stream) IN (
  SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]))
ORDER BY log, tenant, stream FOR UPDATE"""
ANY = "SELECT EXISTS (SELECT FROM consumer.parked_stream WHERE name = %s)"
PARK_STREAM = """
INSERT INTO consumer.parked_stream (name, log, tenant, stream) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING"""
PARK = """
INSERT INTO consumer.parked (name, log, shard, pos, tenant, stream, error, kafka_partition,
  kafka_offset, key, header_names, header_values, value)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
STREAMS = """
SELECT log, tenant, stream FROM consumer.parked_stream WHERE name = %s ORDER BY at, stream"""
FIRST_OF_STREAM = """
SELECT * FROM consumer.parked
WHERE name = %s AND log = %s AND tenant = %s AND stream = %s ORDER BY pos LIMIT 1"""
BY_ID = "SELECT * FROM consumer.parked WHERE name = %s AND id = %s FOR UPDATE"
ALL = "SELECT * FROM consumer.parked WHERE name = %s ORDER BY log, shard, pos, id"
DELETE = "DELETE FROM consumer.parked WHERE id = %s"
UNPARK_IF_DRAINED = """
DELETE FROM consumer.parked_stream s
WHERE name = %s AND log = %s AND tenant = %s AND stream = %s AND NOT EXISTS (
  SELECT FROM consumer.parked p
  WHERE (p.name, p.log, p.tenant, p.stream) = (s.name, s.log, s.tenant, s.stream))"""
SAY_WHY = "UPDATE consumer.parked SET error = %s WHERE id = %s"
DISCARD = """
INSERT INTO consumer.discarded (id, name, log, shard, pos, tenant, stream, error, key,
  header_names, header_values, value, parked_at, discarded_by, reason)
SELECT id, name, log, shard, pos, tenant, stream, error, key,
  header_names, header_values, value, parked_at, %s, %s FROM consumer.parked WHERE id = %s"""

WAITS_FOR_ITS_STREAM = "an earlier event of its stream is parked"


class Projection(Protocol):
    """Folds events into rows. Knows nothing of Kafka, cursors or retries."""

    @property
    def name(self) -> str: ...
    def decode(self, envelope: Envelope) -> object | None:
        """None for a kind of event this release does not know. Raises `Undecodable`."""
        ...

    async def apply(self, tx: Transaction, batch: Sequence[tuple[Envelope, object]]) -> None:
        """In the transaction of the cursor: it must neither commit nor roll back.

        Its tables are named without a schema: several generations of them may be moved along.

        May run again, on the same or on fewer events, after a transaction that failed.
        """
        ...


class NotParked(Exception):
    """There is no such parked event."""


@dataclass(frozen=True, slots=True)
class Parked:
    id: int
    name: str
    log: str
    shard: int | None
    pos: int | None
    tenant: str
    stream: str
    error: str
    kafka_partition: int
    kafka_offset: int
    key: bytes | None
    header_names: list[str]
    header_values: list[bytes]
    value: bytes | None
    parked_at: datetime
    relayed_at: datetime | None

    @property
    def topic(self) -> str:
        return self.log

    @property
    def partition(self) -> int:
        return self.kafka_partition

    @property
    def headers(self) -> Headers:
        return list(zip(self.header_names, self.header_values, strict=True))

    @property
    def stream_key(self) -> StreamKey:
        return self.log, self.tenant, self.stream


@dataclass(frozen=True, slots=True)
class Retried:
    applied: int
    failed: int  # streams that stay parked


def stream_of(envelope: Envelope) -> StreamKey:
    return envelope.topic, envelope.tenant, envelope.stream


async def parks(tx: Transaction, name: str) -> bool:
    """Whether any stream is parked."""
    ((any_parked,),) = await (await tx.execute(ANY, (name,))).fetchall()
    return bool(any_parked)


async def lock_parked(tx: Transaction, name: str, streams: Collection[StreamKey]) -> set[StreamKey]:
    """Which of these streams are parked; they stay so until this transaction ends."""
    columns = [[stream[i] for stream in streams] for i in range(3)]
    found = await tx.execute(LOCK, (name, *columns))
    return {(log, tenant, stream) for log, tenant, stream in await found.fetchall()}


async def park(
    tx: Transaction, name: str, envelope: Envelope, kafka_offset: int, error: str
) -> None:
    await tx.execute(PARK_STREAM, (name, *stream_of(envelope)))
    names, values = _columns(headers_of(envelope))
    place = (envelope.topic, envelope.shard, envelope.pos, envelope.tenant, envelope.stream)
    origin = (partition_of(envelope.shard), kafka_offset)
    content = (envelope.key.encode(), names, values, envelope.data)
    await tx.execute(PARK, (name, *place, error, *origin, *content))


async def park_strange(tx: Transaction, name: str, record: ConsumerRecord, error: str) -> None:
    """A record that no relay published belongs to no stream; it is kept once, and holds up none."""
    names, values = _columns(record.headers)
    place = (record.topic, None, None, "", "")
    origin = (record.partition, record.offset)
    content = (record.key, names, values, record.value)
    await tx.execute(PARK, (name, *place, error, *origin, *content))


async def parked(pool: Pool, name: str) -> list[Parked]:
    async with pool.connection() as connection:
        return await rows_of(connection, ALL, (name,))


async def retry(pool: Pool, name: str, projection: Projection) -> Retried:
    """Applies what is parked, each stream in its order, up to the first that fails again."""
    async with pool.connection() as connection:
        streams = await (await connection.execute(STREAMS, (name,))).fetchall()
    drained = [await _drain(pool, name, projection, (log, t, s)) for log, t, s in streams]
    return Retried(sum(n for n, _ in drained), sum(not emptied for _, emptied in drained))


async def discard(pool: Pool, name: str, parked_id: int, *, who: str, reason: str) -> None:
    """Gives one event up for good, and says who did and why. Its stream goes on without it."""
    async with pool.connection() as connection, connection.transaction():
        found = await rows_of(connection, BY_ID, (name, parked_id))
        if not found:
            raise NotParked(f"{name} has parked nothing under {parked_id}")
        stream = found[0].stream_key
        await lock_parked(connection, name, [stream])
        await connection.execute(DISCARD, (who, reason, parked_id))
        await connection.execute(DELETE, (parked_id,))
        await connection.execute(UNPARK_IF_DRAINED, (name, *stream))


async def _drain(
    pool: Pool, name: str, projection: Projection, stream: StreamKey
) -> tuple[int, bool]:
    applied = 0
    while True:
        async with pool.connection() as connection:
            first = await rows_of(connection, FIRST_OF_STREAM, (name, *stream))
        if not first:
            return applied, True
        try:
            applied += await _apply_first(pool, name, projection, stream)
        except Exception as error:
            if passing(error):
                raise
            async with pool.connection() as connection:
                await connection.execute(SAY_WHY, (told(error), first[0].id))
            return applied, False


async def _apply_first(pool: Pool, name: str, projection: Projection, stream: StreamKey) -> int:
    """Under the lock of the stream's row, which the consumer takes too: none slips in between."""
    async with pool.connection() as connection, connection.transaction():
        if not await lock_parked(connection, name, [stream]):
            return 0
        found = await rows_of(connection, FIRST_OF_STREAM, (name, *stream))
        if not found:
            return 0
        envelope = envelope_of(found[0])
        content = projection.decode(envelope)
        if content is None:
            await passed_over(connection, name, 1)
        else:
            await _apply(connection, projection, envelope, content)
        await connection.execute(DELETE, (found[0].id,))
        await connection.execute(UNPARK_IF_DRAINED, (name, *stream))
        return 1


async def _apply(
    tx: Transaction, projection: Projection, envelope: Envelope, content: object
) -> None:
    schemas = await schemas_of(tx, projection.name)
    for schema in schemas:
        await aim(tx, schema)
        await projection.apply(tx, [(envelope, content)])
    if not schemas:
        await projection.apply(tx, [(envelope, content)])


async def rows_of(
    tx: Transaction, query: LiteralString, parameters: Sequence[object] = ()
) -> list[Parked]:
    async with tx.cursor(row_factory=class_row(Parked)) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchall()


def _columns(headers: Headers) -> tuple[list[str], list[bytes]]:
    return [name for name, _ in headers], [value for _, value in headers]
