"""The event store on PostgreSQL: one round trip to read, one to append (migrations/0001_es.sql)."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, LiteralString, NoReturn, TypeVar

from psycopg import AsyncConnection, DatabaseError, OperationalError
from psycopg.types.range import TimestamptzRange
from psycopg_pool import AsyncConnectionPool

from eventstore.decoding import decoded
from eventstore.mapping import OneofCodec
from eventstore.meta import metas_of
from eventstore.sealing import Sealing
from eventstore.store import (
    Appended,
    Claim,
    ClaimTaken,
    KeyReused,
    Metadata,
    New,
    Position,
    StoreUnavailable,
    Stream,
    StreamId,
    Used,
    WrongVersion,
    refuse_future,
    refuse_overlong,
    refuse_oversize,
)
from eventstore.telemetry import calling
from kernel.clock import Clock, SystemClock
from kernel.ids import IdGenerator, Uuid7

E = TypeVar("E")

READ = "SELECT * FROM es.read(%s::text, %s::text, %s::uuid, %s::text)"
APPEND = """
SELECT o_shard, o_pos, o_ver, o_replayed FROM es.append(
  %b::text, %b::text, %b::uuid, %b::int, %b::text, %b::bytea,
  %b::uuid[], %b::text[], %b::timestamptz[], %b::bytea[], %b::bytea[],
  %b::text[], %b::text[], %b::text[], %b::tstzrange[])
"""
NEXT_NUMBER = "SELECT es.next_number(%s::text, %s::text)"


class PostgresEventStore(Generic[E]):
    """One log of this database.

    The pool's connections are in autocommit and carry a `lock_timeout` and `statement_timeout`:
    what runs into them was rolled back, and `execute` tries it again with the same key.
    `appended` is told of each append once it is committed: a relay in this process need not poll.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        codec: OneofCodec[E],
        sealing: Sealing,
        *,
        log: str,
        clock: Clock | None = None,
        ids: IdGenerator | None = None,
        appended: Callable[[], None] | None = None,
    ) -> None:
        self.log = log
        self._pool = pool
        self._codec = codec
        self._sealing = sealing
        self._clock = clock or SystemClock()
        self._ids = ids or Uuid7()
        self._appended = appended

    async def read(self, tenant: str, stream: StreamId, *, key: str = "") -> Stream[E]:
        rows = await self._rows("es.read", READ, self.log, tenant, stream, key)
        used = _used(rows[0][7:])
        stored = (decoded(self._codec, *row[:7]) for row in rows if row[0] is not None)
        return Stream.of(used.stream if used else stream, stored, used)

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
        records = [self._codec.encode(new.event) for new in events]
        refuse_oversize(record.ByteSize() for record in records)
        await self._sealing.seal(records, metadata.tenant, stream, expected)
        schema = self._codec.dataschema
        metas = metas_of(
            events, metadata, site=site, dataschema=schema, fact_versions=fact_versions
        )
        try:
            ((shard, pos, version, replayed),) = await self._rows(
                "es.append",
                APPEND,
                self.log,
                metadata.tenant,
                stream,
                expected,
                metadata.request_id,
                metadata.fingerprint,
                [self._ids.new() for _ in events],
                [self._codec.type_of(new.event) for new in events],
                [new.occurred_at for new in events],
                [record.SerializeToString(deterministic=True) for record in records],
                metas,
                list(known_scopes),
                [claim.scope for claim in claims],
                [claim.key for claim in claims],
                [TimestamptzRange(claim.start, claim.end) for claim in claims],
            )
        except DatabaseError as error:
            _refused(error, metadata)
        if self._appended is not None:
            self._appended()
        return Appended(version, Position(self.log, shard, pos), replayed)

    async def next_number(self, tenant: str, series: str) -> int:
        ((number,),) = await self._rows("es.next_number", NEXT_NUMBER, tenant, series)
        return int(number)

    async def _rows(
        self, procedure: str, query: LiteralString, *parameters: object
    ) -> list[tuple[Any, ...]]:
        try:
            with calling(procedure, self.log):
                return await self._fetched(query, parameters)
        except OperationalError as error:
            raise StoreUnavailable("the event store does not answer") from error

    async def _fetched(
        self, query: LiteralString, parameters: Sequence[object]
    ) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, parameters, binary=True)
            return await cursor.fetchall()


def _used(row: Sequence[Any]) -> Used | None:
    fingerprint, stream, version, log, shard, pos = row
    if fingerprint is None:
        return None
    return Used(fingerprint, stream, version, Position(log, shard, pos))


def _refused(error: DatabaseError, metadata: Metadata) -> NoReturn:
    """es.append says by SQLSTATE which promise would be broken."""
    match error.sqlstate:
        case "ES409":
            raise WrongVersion(int(error.diag.message_primary or 0)) from error
        case "ES422":
            raise KeyReused("the key was used by another request", key=metadata.request_id)
        case "ES423":
            taken = json.loads(error.diag.message_detail or "{}")
            raise ClaimTaken(taken["scope"], taken["key"], StreamId(taken["holder"])) from error
        case _:
            raise error
