from collections.abc import AsyncIterator
from typing import Any, LiteralString, TypeAlias

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.errors import InsufficientPrivilege
from psycopg_pool import AsyncConnectionPool

from devstack.databases import Database
from eventstore.keyring import InMemoryKeyring, KeyBroken, KeyringUnavailable, PostgresKeyring
from runtime.migrate import migrate
from testkit.servers import NewDatabase
from testkit.store_contract import NORTH, SOUTH, SubjectKeysContract

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[Any]]

KEK, OTHER_KEK = b"k" * 32, b"o" * 32


@pytest.fixture(scope="module")
def migrated(database: NewDatabase) -> Database:
    made = database("keyring")
    migrate(made.owner_dsn, "keyring")
    return made


@pytest.fixture
def keyring(migrated: Database) -> Database:
    with psycopg.connect(migrated.superuser_dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE keyring.subject_key")
    return migrated


@pytest.fixture
async def owner_pool(keyring: Database) -> AsyncIterator[Pool]:
    """May forget, as the erasure command will."""
    pool: Pool = AsyncConnectionPool(keyring.owner_dsn, open=False, kwargs={"autocommit": True})
    async with pool:
        yield pool


class TestInMemoryKeyring(SubjectKeysContract):
    @pytest.fixture
    def keys(self) -> InMemoryKeyring:
        return InMemoryKeyring()


@pytest.mark.integration
class TestPostgresKeyring(SubjectKeysContract):
    @pytest.fixture
    def keys(self, owner_pool: Pool) -> PostgresKeyring:
        return PostgresKeyring(owner_pool, KEK)


@pytest.mark.integration
async def test_a_key_in_the_database_is_worth_nothing_without_the_right_kek(
    owner_pool: Pool, keyring: Database
) -> None:
    key = await PostgresKeyring(owner_pool, KEK).create(NORTH, "jobs/1")

    with psycopg.connect(keyring.superuser_dsn) as connection:
        ((wrapped,),) = connection.execute("SELECT wrapped FROM keyring.subject_key").fetchall()

    assert key.secret not in wrapped
    with pytest.raises(KeyBroken):
        await PostgresKeyring(owner_pool, OTHER_KEK).unwrap(NORTH, ["jobs/1"])


@pytest.mark.integration
async def test_a_wrapped_key_cannot_be_carried_to_another_subject_or_tenant(
    owner_pool: Pool, keyring: Database
) -> None:
    keys = PostgresKeyring(owner_pool, KEK)
    await keys.create(NORTH, "jobs/1")
    with psycopg.connect(keyring.superuser_dsn) as connection:
        connection.execute(
            "INSERT INTO keyring.subject_key (tenant, subject, key_id, wrapped) "
            "SELECT t, s, key_id, wrapped FROM keyring.subject_key, "
            "(VALUES ('north', 'jobs/2'), ('south', 'jobs/1')) AS v(t, s)"
        )

    for tenant, subject in ((NORTH, "jobs/2"), (SOUTH, "jobs/1")):
        with pytest.raises(KeyBroken):
            await keys.unwrap(tenant, [subject])


@pytest.mark.integration
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT keyring.forget('north', 'jobs/1')",
        "SELECT FROM keyring.subject_key",
        "DELETE FROM keyring.subject_key",
    ],
)
def test_the_keyring_may_unwrap_and_create_only(
    keyring: Database, statement: LiteralString
) -> None:
    with psycopg.connect(keyring.app_dsn, autocommit=True) as connection:
        made = connection.execute(
            "SELECT key_id FROM keyring.create('north', 'jobs/1', gen_random_uuid(), '\\x01')"
        ).fetchall()
        assert (
            connection.execute("SELECT key_id FROM keyring.unwrap('north', '{jobs/1}')").fetchall()
            == made
        )
        with pytest.raises(InsufficientPrivilege):
            connection.execute(sql.SQL(statement))


async def test_a_keyring_that_does_not_answer_says_so() -> None:
    pool: Pool = AsyncConnectionPool("", open=False)

    with pytest.raises(KeyringUnavailable):
        await PostgresKeyring(pool, KEK).create(NORTH, "jobs/1")


def test_a_key_encryption_key_has_32_bytes() -> None:
    pool: Pool = AsyncConnectionPool("", open=False)

    with pytest.raises(ValueError, match="32 bytes"):
        PostgresKeyring(pool, b"short")


@pytest.mark.integration
async def test_a_restart_of_the_database_is_no_news_to_whoever_asks_for_a_key(
    owner_pool: Pool, keyring: Database
) -> None:
    keys = PostgresKeyring(owner_pool, KEK)
    key = await keys.create(NORTH, "jobs/1")

    with psycopg.connect(keyring.superuser_dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert await keys.unwrap(NORTH, ["jobs/1"]) == {"jobs/1": key}
