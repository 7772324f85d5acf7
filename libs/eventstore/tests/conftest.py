from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

from devstack.databases import Database
from eventstore.keyring import InMemoryKeyring
from eventstore.postgres import PostgresEventStore
from eventstore.sealing import Sealing
from runtime.migrate import migrate
from testkit.events import LOAN_LOG, LoanEvent, loan_codec
from testkit.servers import NewDatabase

Pool = AsyncConnectionPool[AsyncConnection[Any]]

LIMITS = "-c lock_timeout=2s -c statement_timeout=5s"
TABLES = ("es.head", "es.event", "es.idem", "es.claim", "es.relay_cursor", "es.relay_lease")


@pytest.fixture(scope="session")
def migrated(database: NewDatabase) -> Database:
    """A database with the schema `es`, once for all tests of this process."""
    made = database("workshop")
    migrate(made.owner_dsn, "workshop", folders=["eventstore/migrations"])
    return made


@pytest.fixture
def es(migrated: Database) -> Database:
    """The same, emptied: by the superuser, past the triggers."""
    with psycopg.connect(migrated.superuser_dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in TABLES:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(table)))
        connection.execute("SELECT es.create_log(%s)", (LOAN_LOG,))
    return migrated


@pytest.fixture
async def app_pool(es: Database) -> AsyncIterator[Pool]:
    async with a_pool(es.app_dsn) as pool:
        yield pool


@pytest.fixture
async def relay_pool(es: Database) -> AsyncIterator[Pool]:
    async with a_pool(es.relay_dsn) as pool:
        yield pool


@pytest.fixture
def store(app_pool: Pool) -> PostgresEventStore[LoanEvent]:
    return PostgresEventStore(app_pool, loan_codec(), Sealing(InMemoryKeyring()), log=LOAN_LOG)


def a_pool(dsn: str) -> Pool:
    return AsyncConnectionPool(
        dsn, min_size=1, max_size=12, open=False, kwargs={"autocommit": True, "options": LIMITS}
    )
