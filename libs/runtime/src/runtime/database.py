"""PostgreSQL: pools with time limits, and the one way to rows under row level security."""

import asyncio
import select
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeAlias

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import FeatureNotSupported
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr

Connection: TypeAlias = AsyncConnection[TupleRow]
Pool: TypeAlias = AsyncConnectionPool[Connection]
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

SIZE = 12
RECONNECT_SECONDS = 4.0
LIMITS = "-c lock_timeout=500ms -c statement_timeout=2s -c idle_in_transaction_session_timeout=30s"
# For what is done again if a crash of the server undoes the last of it: relays and read models.
REPEATABLE = f"{LIMITS} -c synchronous_commit=off"
SET_TENANT = "SELECT set_config('app.tenant', %s, true)"


@asynccontextmanager
async def pool(dsn: SecretStr, *, size: int = SIZE, limits: str = LIMITS) -> AsyncIterator[Pool]:
    """Connections in autocommit; opened in the background, so that a service starts without them.

    Each attempt to connect again waits twice as long as the one before. It is given up soon, and
    the next request begins with a short wait: else a database that was away for minutes would be
    found back minutes after it is there.
    """

    async def refuse_closed(connection: Connection) -> None:
        """Costs no round trip. Where one was closed by a restart, the others were, too."""
        if _was_closed(connection):
            await connection.close()
            await connections.check()
            raise OperationalError("the server has closed the connection")

    connections: Pool = AsyncConnectionPool(
        dsn.get_secret_value(),
        min_size=min(2, size),
        max_size=size,
        timeout=5,
        reconnect_timeout=RECONNECT_SECONDS,
        check=refuse_closed,
        open=False,
        kwargs={"autocommit": True, "options": limits},
    )
    await connections.open()
    try:
        yield connections
    finally:
        await connections.close(timeout=2)


def _was_closed(connection: Connection) -> bool:
    """Of an idle connection there is nothing to read, unless the server has ended it."""
    reading = select.poll()
    reading.register(connection.fileno(), select.POLLIN)
    return bool(reading.poll(0))


@asynccontextmanager
async def tenant_connection(pool: Pool, tenant: str) -> AsyncIterator[Connection]:
    """A transaction that sees this tenant's rows and no others; committed at the end.

    BEGIN and the setting travel with the first query. `rows` is cheaper for a single one.
    """
    _check(tenant)
    async with pool.connection() as connection, _transaction(connection, tenant):
        yield connection


async def rows(
    pool: Pool, tenant: str, query: LiteralString, parameters: Parameters = ()
) -> list[TupleRow]:
    """One query of this tenant, the whole transaction in one round trip.

    A read model that was swapped underneath makes a prepared statement fail once (0A000); without
    what was prepared the same connection answers when asked again.
    """
    _check(tenant)
    async with pool.connection() as connection:
        try:
            return await _rows(connection, tenant, query, parameters)
        except FeatureNotSupported:
            await connection.execute("DEALLOCATE ALL")
            return await _rows(connection, tenant, query, parameters)


async def _rows(
    connection: Connection, tenant: str, query: LiteralString, parameters: Parameters
) -> list[TupleRow]:
    """What is sent before a pipeline's end is one transaction: BEGIN and COMMIT would double its cost."""
    async with _whole(connection), connection.pipeline():
        await connection.execute(SET_TENANT, (tenant,))
        cursor = await connection.execute(query, parameters)
    return await cursor.fetchall()


@asynccontextmanager
async def _transaction(connection: Connection, tenant: str) -> AsyncIterator[None]:
    async with _whole(connection), connection.pipeline(), connection.transaction():
        await connection.execute(SET_TENANT, (tenant,))
        yield


@asynccontextmanager
async def _whole(connection: Connection) -> AsyncIterator[None]:
    """Cancelled half way, it takes the connection with it.

    A cancelled pipeline leaves BEGIN done at the server while psycopg believes that there is no
    transaction. Whoever got that connection next would write into it, be answered, and be rolled
    back when the server's patience ends: an accepted command would be lost.
    """
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        await connection.close()
        raise


def _check(tenant: str) -> None:
    if not tenant:
        raise ValueError("rows are read for a tenant")
