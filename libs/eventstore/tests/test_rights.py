from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from devstack.databases import Database
from eventstore.postgres import PostgresEventStore
from testkit.events import LoanEvent, MeterRead
from testkit.store_contract import a_stream, put

pytestmark = pytest.mark.integration

TABLES = (
    "es.event",
    "es.head",
    "es.idem",
    "es.claim",
    "es.store",
    "es.relay_lease",
    "es.relay_cursor",
    "es.linked",
)


@pytest.fixture
async def written(es: Database, store: PostgresEventStore[LoanEvent]) -> Database:
    await put(store, a_stream(), 0, MeterRead(1, 1))
    return es


@pytest.fixture
def app(written: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(written.app_dsn, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("verb", ["SELECT FROM {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_request_path_has_no_rights_on_tables(
    app: psycopg.Connection, verb: LiteralString, table: str
) -> None:
    with pytest.raises(psycopg.Error) as refusal:
        app.execute(sql.SQL(verb).format(sql.Identifier(*table.split("."))))

    assert refusal.value.sqlstate in {"42501", "42809", "55000"}


@pytest.mark.parametrize(
    "call",
    [
        "SELECT es.create_log('x')",
        "SELECT es.next_epoch()",
        "SELECT es.shard('north', gen_random_uuid())",
        "SELECT es.genesis('x', 1)",
        "SELECT es.lp('x')",
    ],
)
def test_the_request_path_calls_three_functions_only(
    app: psycopg.Connection, call: LiteralString
) -> None:
    with pytest.raises(InsufficientPrivilege):
        app.execute(call)

    assert app.execute("SELECT es.next_number('north', 'x')").fetchall() == [(1,)]


def test_a_projector_does_not_reach_the_store(written: Database) -> None:
    with (
        psycopg.connect(written.projector_dsn, autocommit=True) as connection,
        pytest.raises(InsufficientPrivilege),
    ):
        connection.execute("SELECT FROM es.event")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE es.event SET data = ''",
        "DELETE FROM es.event",
        "DELETE FROM es.head",
        "INSERT INTO es.head (log, shard, hash) VALUES ('x', 1, '')",
        "UPDATE es.relay_lease SET log = 'x'",
        "SELECT FROM es.idem",
    ],
)
def test_a_relay_reads_events_and_moves_its_cursor_only(
    written: Database, statement: LiteralString
) -> None:
    with psycopg.connect(written.relay_dsn, autocommit=True) as connection:
        assert len(connection.execute("SELECT FROM es.event").fetchall()) == 1
        with pytest.raises(InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE es.event SET data = ''",
        "DELETE FROM es.event",
        "TRUNCATE es.event",
        "UPDATE es.event SET data = '' WHERE false",
        "DELETE FROM es.idem",
    ],
)
@pytest.mark.parametrize("who", ["owner_dsn", "superuser_dsn"])
def test_not_even_the_owner_changes_the_past(
    written: Database, who: str, statement: LiteralString
) -> None:
    with (
        psycopg.connect(getattr(written, who), autocommit=True) as connection,
        pytest.raises(InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(statement)


def test_every_function_pins_its_search_path(es: Database) -> None:
    with psycopg.connect(es.superuser_dsn) as connection:
        open_ones = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'es'::regnamespace "
            "AND prosecdef AND proconfig <> '{\"search_path=pg_catalog, pg_temp\"}'"
        ).fetchall()
        public = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'es'::regnamespace "
            "AND has_function_privilege('public', oid, 'EXECUTE')"
        ).fetchall()

    assert (open_ones, public) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        ("'{}', '{a}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'", "22023"),
        ("'{}', '{}', '{}', '{}', '{}', '{}', '{car}', '{van}', '{\"(,)\"}'", "22023"),
        ("'{}', '{}', '{}', '{}', '{}', '{car}', '{car}', '{}', '{}'", "22023"),
        ("'{}', '{}', '{}', '{}', '{}', NULL, '{}', '{}', '{}'", "22004"),
    ],
)
def test_an_append_with_a_hole_in_its_arguments_is_refused(
    app: psycopg.Connection, arguments: LiteralString, state: str
) -> None:
    call = "SELECT es.append('log', 'north', gen_random_uuid(), 0, 'k', 'fp', {})"

    with pytest.raises(psycopg.Error) as refusal:
        app.execute(sql.SQL(call).format(sql.SQL(arguments)))

    assert refusal.value.sqlstate == state
