import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress

import psycopg
import pytest
from psycopg.errors import LockNotAvailable, NotNullViolation, QueryCanceled
from pydantic import SecretStr

from devstack.databases import Database
from runtime import database as runtime_database
from runtime.database import Pool, rows, tenant_connection
from testkit.servers import own_postgres
from testkit.topics import eventually

pytestmark = pytest.mark.integration

TABLES = """
SET ROLE shop_owner;
CREATE SCHEMA shop;
CREATE TABLE shop.thing (tenant text NOT NULL CHECK (tenant <> ''), name text NOT NULL);
ALTER TABLE shop.thing ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.thing FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.thing USING (tenant = current_setting('app.tenant', true));
GRANT USAGE ON SCHEMA shop TO shop_app;
GRANT SELECT, INSERT ON shop.thing TO shop_app;
CREATE VIEW shop.things WITH (security_invoker = true) AS SELECT name FROM shop.thing;
GRANT SELECT ON shop.things TO shop_app;
RESET ROLE;
INSERT INTO shop.thing VALUES ('acme', 'crate'), ('acme', 'jack'), ('other', 'secret');
"""
OTHER_COLUMNS = """
SET ROLE shop_owner;
DROP VIEW shop.things;
CREATE VIEW shop.things WITH (security_invoker = true) AS SELECT length(name) AS name FROM shop.thing;
GRANT SELECT ON shop.things TO shop_app;
"""
NAMES = "SELECT name FROM shop.thing ORDER BY name"


@pytest.fixture
def shop(database: Callable[[str], Database]) -> Database:
    shop = database("shop")
    with psycopg.connect(shop.superuser_dsn, autocommit=True) as connection:
        connection.execute(TABLES)
    return shop


@pytest.fixture
async def pool(shop: Database) -> AsyncIterator[Pool]:
    async with runtime_database.pool(SecretStr(shop.app_dsn), size=2) as pool:
        yield pool


async def test_a_tenant_sees_its_own_rows(pool: Pool) -> None:
    assert await rows(pool, "acme", NAMES) == [("crate",), ("jack",)]
    assert await rows(pool, "other", NAMES) == [("secret",)]
    assert await rows(pool, "nobody", NAMES) == []


async def test_nobody_sees_rows_without_a_tenant(pool: Pool) -> None:
    async with pool.connection() as connection:
        before = await (await connection.execute(NAMES)).fetchall()
    await rows(pool, "acme", NAMES)
    await asyncio.gather(*(rows(pool, "acme", NAMES) for _ in range(4)))
    async with pool.connection() as connection:
        after = await (await connection.execute(NAMES)).fetchall()

    assert (before, after) == ([], [])
    with pytest.raises(ValueError, match="for a tenant"):
        await rows(pool, "", NAMES)


async def test_a_connection_of_a_tenant_commits_what_was_done_in_it(pool: Pool) -> None:
    async with tenant_connection(pool, "acme") as connection:
        await connection.execute("INSERT INTO shop.thing VALUES ('acme', 'lift')")
        seen = await (await connection.execute(NAMES)).fetchall()

    assert seen == [("crate",), ("jack",), ("lift",)]
    assert len(await rows(pool, "acme", NAMES)) == 3


async def test_a_tenant_cannot_write_for_another(pool: Pool) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with tenant_connection(pool, "acme") as connection:
            await connection.execute("INSERT INTO shop.thing VALUES ('other', 'gift')")

    assert await rows(pool, "other", NAMES) == [("secret",)]


async def test_what_fails_is_rolled_back_and_the_connection_is_good_again(pool: Pool) -> None:
    for _ in range(3):
        with pytest.raises(NotNullViolation):
            await _insert(pool, "lift", None)

    assert len(await rows(pool, "acme", NAMES)) == 2


async def _insert(pool: Pool, *names: str | None) -> None:
    async with tenant_connection(pool, "acme") as connection:
        for name in names:
            await connection.execute("INSERT INTO shop.thing VALUES ('acme', %s)", (name,))


async def test_a_read_model_swapped_underneath_is_asked_once_more(
    pool: Pool, shop: Database
) -> None:
    ask = "SELECT name FROM shop.things ORDER BY name"
    for _ in range(20):
        await rows(pool, "acme", ask)  # long enough to be prepared on both connections
    with psycopg.connect(shop.superuser_dsn, autocommit=True) as connection:
        connection.execute(OTHER_COLUMNS)

    assert await rows(pool, "acme", ask) == [(4,), (5,)]


async def test_nobody_waits_long_for_a_lock_or_a_query(pool: Pool, shop: Database) -> None:
    with pytest.raises(QueryCanceled):
        await rows(pool, "acme", "SELECT pg_sleep(5)")
    with psycopg.connect(shop.superuser_dsn) as holder:
        holder.execute("LOCK TABLE shop.thing")
        with pytest.raises(LockNotAvailable):
            await rows(pool, "acme", NAMES)


async def test_a_pool_opens_before_its_database_is_there() -> None:
    async with runtime_database.pool(SecretStr("host=127.0.0.1 port=1")) as pool:
        with pytest.raises(psycopg.OperationalError):
            async with pool.connection(timeout=0.2):
                pass


@pytest.mark.parametrize("read", ["rows", "tenant_connection"])
async def test_what_is_written_after_a_read_was_cancelled_is_seen_by_everybody(
    shop: Database, pool: Pool, read: str
) -> None:
    """A client that goes away cancels its reads; the next writer must not inherit their transaction."""

    async def reading() -> None:
        if read == "rows":
            await rows(pool, "acme", "SELECT pg_sleep(0.002)")
            return
        async with tenant_connection(pool, "acme") as connection:
            await connection.execute("SELECT pg_sleep(0.002)")

    for delay in (0.0005, 0.001, 0.002, 0.003, 0.004) * 4:
        tasks = [asyncio.create_task(reading()) for _ in range(2)]
        await asyncio.wait(tasks, timeout=delay)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        async with pool.connection() as connection:
            answered = await connection.execute("SELECT pg_current_xact_id()::text")
            [written] = await answered.fetchone() or [""]

        with psycopg.connect(shop.superuser_dsn) as other:
            status = other.execute("SELECT pg_xact_status(%s::xid8)", [written]).fetchone()
        assert status == ("committed",)


async def test_a_database_that_was_away_for_long_is_found_back_soon() -> None:
    with own_postgres() as postgres:
        dsn = SecretStr(postgres.server.dsn("postgres"))
        async with runtime_database.pool(dsn, size=2) as connections:

            async def answers() -> bool:
                with suppress(psycopg.OperationalError):
                    async with connections.connection(timeout=1) as connection:
                        await connection.execute("SELECT 1")
                        return True
                return False

            await eventually(answers)
            postgres.stop_at_once()
            with pytest.raises(AssertionError):
                await eventually(answers, within=8)
            postgres.start()

            await eventually(answers, within=4)


async def test_after_a_restart_of_the_database_nobody_gets_a_dead_connection() -> None:
    with own_postgres() as postgres:
        dsn = SecretStr(postgres.server.dsn("postgres"))
        async with runtime_database.pool(dsn, size=4) as connections:
            async with AsyncExitStack() as held:
                for _ in range(4):
                    await held.enter_async_context(connections.connection())
            postgres.stop_at_once()
            postgres.start()

            for _ in range(4):
                async with connections.connection() as connection:
                    await connection.execute("SELECT 1")
