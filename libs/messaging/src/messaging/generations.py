"""Read models in generations: which are moved along, and the steps from one to the next.

One is live: requests read it. Another may be `building`, with cursors of its own, or `following`:
then every batch is applied to both in one transaction, so that any snapshot shows both at the same
place and either may be read. The steps are functions of the database, each whole or not at all.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, TypeVar

from psycopg import errors
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from messaging.cursor import Pool, Transaction

SCHEMAS = """
SELECT schema FROM consumer.generation
WHERE name = %s AND state IN ('live', 'following') ORDER BY state = 'live' DESC"""
ALL = """
SELECT name, number, schema, state, built_at, skipped, compared_at, compared_rows, differing
FROM consumer.generation WHERE name = %s ORDER BY number"""
AIM = "SELECT set_config('search_path', %s, true)"
PATIENCE = "SET LOCAL lock_timeout = '200ms'"
TABLES = (
    "SELECT c.relname FROM pg_class c WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r'"
)
SUM = SQL("SELECT count(*), coalesce(sum(hash_record_extended(t, 0)), 0) FROM {table} t")
DIFFERING = SQL("""
SELECT count(*) FROM ((TABLE {a} EXCEPT ALL TABLE {b}) UNION ALL (TABLE {b} EXCEPT ALL TABLE {a})) d""")
COMPARED = """
UPDATE consumer.generation
SET compared_at = clock_timestamp(), compared_rows = %s, differing = %s WHERE schema = %s"""
TRIES, REST_SECONDS = 50, 0.1

T = TypeVar("T")


class NotPossible(Exception):
    """The generations are not in a state from which this step goes."""


@dataclass(frozen=True, slots=True)
class Generation:
    name: str
    number: int
    schema: str
    state: str
    built_at: datetime | None
    skipped: int
    compared_at: datetime | None
    compared_rows: int
    differing: int

    @property
    def consumer(self) -> str:
        """The name of its cursors while it is built."""
        return f"{self.name}@{self.number}"


async def schemas_of(tx: Transaction, name: str) -> list[str]:
    """Where an event must be applied: the live one first. None for what has no read model."""
    found = await tx.execute(SCHEMAS, (name,))
    return [schema for (schema,) in await found.fetchall()]


async def aim(tx: Transaction, schema: str) -> None:
    """Until the end of the transaction, tables without a schema are those of this generation."""
    await tx.execute(AIM, (f'"{schema}"',))


async def generations(pool: Pool, name: str) -> Sequence[Generation]:
    async with (
        pool.connection() as connection,
        connection.cursor(row_factory=class_row(Generation)) as cursor,
    ):
        await cursor.execute(ALL, (name,))
        return await cursor.fetchall()


async def beside(pool: Pool, name: str) -> Generation | None:
    """The one that is not live."""
    found = [each for each in await generations(pool, name) if each.state != "live"]
    return found[0] if found else None


async def live(pool: Pool, name: str) -> Generation:
    for each in await generations(pool, name):
        if each.state == "live":
            return each
    raise NotPossible(f"{name} has no read model")


async def prepare(pool: Pool, name: str) -> None:
    """Empty tables, shaped as the live ones are: from nothing to `building`."""
    await _step(pool, "SELECT consumer.prepare(%s)", name)


async def swap(pool: Pool, name: str) -> int:
    """The two change places. Rolling back is the same step once more."""
    return int(await _step(pool, "SELECT consumer.swap(%s)", name))


async def replace(pool: Pool, name: str) -> int:
    """For a halted consumer: it goes on from the new generation, and the old one is dropped."""
    return int(await _step(pool, "SELECT consumer.replace(%s)", name))


async def retire(pool: Pool, name: str) -> int:
    """Drops the generation that is not live."""
    return int(await _step(pool, "SELECT consumer.retire(%s)", name))


async def compare(pool: Pool, name: str) -> tuple[int, int]:
    """Rows of the live generation, and how many rows differ; kept with the one that follows.

    In one snapshot, since a batch goes to both in one transaction: nobody waits for it.
    """
    now, other = await live(pool, name), await beside(pool, name)
    if other is None or other.state != "following":
        raise NotPossible(f"{name} has no generation that is following")
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = await (await connection.execute(TABLES, (now.schema,))).fetchall()
        compared = [await _compare(connection, now, other, table) for (table,) in found]
    rows, differing = sum(rows for rows, _ in compared), sum(n for _, n in compared)
    async with pool.connection() as connection:
        await connection.execute(COMPARED, (rows, differing, other.schema))
    return rows, differing


async def _compare(
    tx: Transaction, now: Generation, other: Generation, table: str
) -> tuple[int, int]:
    """Sums of hashes first; row by row only where they differ."""
    a, b = Identifier(now.schema, table), Identifier(other.schema, table)
    sums = [await _one(tx, SUM.format(table=each)) for each in (a, b)]
    if sums[0] == sums[1]:
        return sums[0][0], 0
    (differing,) = await _one(tx, DIFFERING.format(a=a, b=b))
    return sums[0][0], max(1, differing)


async def _one(tx: Transaction, query: Any) -> tuple[Any, ...]:
    row = await (await tx.execute(query)).fetchone()
    return row or ()


async def _step(pool: Pool, query: LiteralString, name: str) -> Any:
    """Behind readers that come and go: asked for briefly and again, so that none waits long."""
    for attempt in range(1, TRIES + 1):
        try:
            async with pool.connection() as connection, connection.transaction():
                await connection.execute(PATIENCE)
                row = await (await connection.execute(query, (name,))).fetchone()
                return row[0] if row else None
        except errors.RaiseException as error:
            raise NotPossible(error.diag.message_primary) from error
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            if attempt == TRIES:
                raise
            await asyncio.sleep(REST_SECONDS)
    raise AssertionError
