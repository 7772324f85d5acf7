"""What PostgreSQL itself lets each role of each service do, in every table that is there."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from psycopg.types.json import Jsonb

from devstack import topology
from devstack.databases import LOGINS, Database, prepare
from devstack.postgres import Server
from runtime.migrate import migrate
from testkit.servers import PASSWORDS, NewDatabase

pytestmark = pytest.mark.integration

MINE, THEIRS = "acme", "polaris"
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
WITHOUT_TENANTS = {"consumer.cursor"}
"""What requests may read that says nothing of any tenant: how far each projection is."""

CALLABLE = {
    "es.append",
    "es.next_number",
    "es.read",
    "keyring.create",
    "keyring.unwrap",
    "number.next_job",
    "read.vehicles_like",
}
"""What runs with its owner's rights for a request; each takes its tenant or reads the one that is set."""

RELATIONS = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
       'security_invoker=true' = ANY (coalesce(c.reloptions, '{}')) AS invoker,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant') AS tenanted
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""
COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
 WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''
 ORDER BY attnum"""
DEFINERS = """
SELECT p.pronamespace::regnamespace || '.' || p.proname FROM pg_proc p
 WHERE p.prosecdef AND has_function_privilege(%s, p.oid, 'EXECUTE')"""
AS_IT_WAS = """
GRANT CONNECT ON DATABASE {} TO workshop_app;
SET ROLE keyring_owner;
GRANT USAGE ON SCHEMA keyring TO workshop_app;
GRANT EXECUTE ON FUNCTION keyring.unwrap, keyring.create TO workshop_app;
DELETE FROM migration.applied WHERE file = '0002_keys_are_the_keyrings.sql'"""
HELD = """
SELECT r FROM unnest(%s::text[]) r
 WHERE has_table_privilege(%s, %s, r)
    OR (r IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(%s, %s, r))"""
VALUES: dict[str, Any] = {
    "text": "J-1001",  # a word, and a number of a job where one is looked for
    "uuid": "01980000-0000-7000-8000-000000000001",
    "smallint": 1,
    "integer": 1,
    "bigint": 1,
    "boolean": False,
    "jsonb": Jsonb({}),
    "bytea": bytes(32),
    "timestamp with time zone": "2026-11-24T08:00:00Z",
    "tstzrange": "[2026-11-24T08:00:00Z,2026-11-24T09:00:00Z)",
    "text[]": ["x"],
    "uuid[]": [],
    "bytea[]": [b"x"],
    "date": "2026-11-24",
    "numeric": 1,
    "double precision": 1.0,
}


@dataclass(frozen=True, slots=True)
class Relation:
    name: str
    kind: str
    invoker: bool
    tenanted: bool

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(*self.name.split("."))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One database, seen by a superuser who can be anybody."""

    database: Database
    connection: psycopg.Connection

    @property
    def keeps_a_log(self) -> bool:
        return topology.service(self.database.service).event_sourced

    @property
    def shows_rows(self) -> bool:
        """The keyring's are reached through functions alone."""
        return self.database.service != topology.KEYRING.name

    @property
    def relations(self) -> list[Relation]:
        return [Relation(*row) for row in self.connection.execute(RELATIONS)]

    def role(self, login: str) -> str:
        return f"{self.database.service}_{login}"

    def held(self, role: str, relation: Relation) -> set[str]:
        asked = (list(RIGHTS), role, relation.name, role, relation.name)
        return {str(row[0]) for row in self.connection.execute(HELD, asked)}

    def readable(self, role: str) -> list[Relation]:
        return [each for each in self.relations if "SELECT" in self.held(role, each)]

    def become(self, role: str, tenant: str | None) -> None:
        self.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        if tenant is not None:
            self.connection.execute("SELECT set_config('app.tenant', %s, true)", (tenant,))

    def tenants_seen(self, relation: Relation) -> set[str]:
        asked = sql.SQL("SELECT DISTINCT tenant FROM {}").format(relation.identifier)
        return {str(row[0]) for row in self.connection.execute(asked)}

    def put(self, relation: Relation, **given: object) -> None:
        """A row with something in every column. Foreign keys and triggers look away."""
        columns = self.connection.execute(COLUMNS, (relation.name,)).fetchall()
        row = {name: given.get(name, VALUES[kind]) for name, kind in columns}
        insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            relation.identifier,
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() for _ in row),
        )
        self.connection.execute("SET LOCAL session_replication_role = replica")
        self.connection.execute(insert, list(row.values()))


@pytest.fixture(scope="module", params=[each.name for each in topology.STORING])
def prepared(request: pytest.FixtureRequest, database: NewDatabase) -> Database:
    made = database(request.param)
    migrate(made.superuser_dsn, made.service)
    return made


@pytest.fixture
def catalogue(prepared: Database) -> Iterator[Catalogue]:
    with psycopg.connect(prepared.superuser_dsn) as connection:
        yield Catalogue(prepared, connection)
        connection.rollback()


@pytest.mark.parametrize("login", ["app", "projector"])
def test_the_store_is_reached_through_its_functions_only(catalogue: Catalogue, login: str) -> None:
    store = [each for each in catalogue.relations if each.name.startswith("es.")]

    held = {each.name: catalogue.held(catalogue.role(login), each) for each in store}

    assert (len(store) >= 8) == catalogue.keeps_a_log
    assert {name: rights for name, rights in held.items() if rights} == {}


def test_a_relay_reads_the_store_and_changes_no_event(catalogue: Catalogue) -> None:
    held = {
        each.name: catalogue.held(catalogue.role("relay"), each) for each in catalogue.relations
    }

    changes = {name: rights - {"SELECT"} for name, rights in held.items() if rights - {"SELECT"}}
    read = {name for name, rights in held.items() if rights}

    expected = {"es.relay_lease": {"UPDATE"}, "es.relay_cursor": {"UPDATE"}}
    assert changes == (expected if catalogue.keeps_a_log else {})
    assert {name for name in read if not name.startswith("es.")} == set()


def test_a_request_changes_no_table(catalogue: Catalogue) -> None:
    role = catalogue.role("app")

    held = {each.name: catalogue.held(role, each) - {"SELECT"} for each in catalogue.relations}

    assert {name: rights for name, rights in held.items() if rights} == {}


def test_a_request_sees_the_rows_of_its_tenant_in_every_table_and_no_others(
    catalogue: Catalogue,
) -> None:
    role = catalogue.role("app")
    tenanted = [each for each in catalogue.readable(role) if each.tenanted]
    for relation in tenanted:
        if relation.kind in "rp":
            catalogue.put(relation, tenant=MINE)
            catalogue.put(relation, tenant=THEIRS)

    seen: dict[str | None, dict[str, set[str]]] = {}
    for tenant in (None, "", MINE, THEIRS, "nobody", "%", "*"):
        with catalogue.connection.transaction(force_rollback=True):
            catalogue.become(role, tenant)
            seen[tenant] = {each.name: catalogue.tenants_seen(each) for each in tenanted}

    assert (len(tenanted) >= 3) == catalogue.shows_rows
    for tenant, tables in seen.items():
        expected = {tenant} if tenant in {MINE, THEIRS} else set()
        assert tables == {each.name: expected for each in tenanted}, tenant


def test_what_a_request_reads_without_a_tenant_says_nothing_of_one(catalogue: Catalogue) -> None:
    readable = catalogue.readable(catalogue.role("app"))

    assert {each.name for each in readable if not each.tenanted} <= WITHOUT_TENANTS


def test_no_row_that_a_request_can_read_is_without_a_tenant(catalogue: Catalogue) -> None:
    readable = catalogue.readable(catalogue.role("app"))
    tables = [each for each in readable if each.tenanted and each.kind in "rp"]

    for relation in tables:
        for nobody in ("", None):
            with pytest.raises(psycopg.IntegrityError), catalogue.connection.transaction():
                catalogue.put(relation, tenant=nobody)

    assert (len(tables) >= 3) == catalogue.shows_rows


def test_a_view_shows_what_its_reader_may_see(catalogue: Catalogue) -> None:
    views = [each for each in catalogue.readable(catalogue.role("app")) if each.kind in "vm"]

    assert [each.name for each in views if not each.invoker] == []


def test_what_runs_with_its_owners_rights_is_known(catalogue: Catalogue) -> None:
    role = catalogue.role("app")

    found = {str(row[0]) for row in catalogue.connection.execute(DEFINERS, (role,))}

    assert found - CALLABLE == set()
    assert (found >= {"es.append", "es.read"}) == catalogue.keeps_a_log


@pytest.mark.parametrize("login", LOGINS)
def test_no_login_can_become_more_than_it_is(catalogue: Catalogue, login: str) -> None:
    role = catalogue.role(login)

    attributes = catalogue.connection.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,"
        " EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid)"
        " FROM pg_roles r WHERE rolname = %s",
        (role,),
    ).fetchone()

    assert attributes == (False,) * 6


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_enters_its_own_database_only(
    database: NewDatabase, catalogue: Catalogue, login: str
) -> None:
    database("vehicle" if catalogue.database.service != "vehicle" else "workshop")

    others = catalogue.connection.execute(
        "SELECT datname FROM pg_database WHERE datallowconn AND datname NOT LIKE %s"
        " AND has_database_privilege(%s, oid, 'CONNECT')",
        (f"{catalogue.database.service}%", catalogue.role(login)),
    ).fetchall()

    assert others == []


def test_part_of_a_plate_finds_vehicles_of_the_tenant_that_is_set(database: NewDatabase) -> None:
    workshop = database("workshop")
    migrate(workshop.superuser_dsn, "workshop")
    with psycopg.connect(workshop.superuser_dsn) as connection:
        catalogue = Catalogue(workshop, connection)
        for tenant, number in ((MINE, 1), (THEIRS, 2)):
            vehicle = f"01980000-0000-7000-8000-00000000000{number}"
            relation = Relation("read.vehicle", "r", invoker=False, tenanted=True)
            catalogue.put(relation, tenant=tenant, vehicle=vehicle, plate="B-FL 2042")
        found: dict[str | None, list[Any]] = {}
        for asking in (None, "", MINE, THEIRS):
            with connection.transaction(force_rollback=True):
                catalogue.become("workshop_app", asking)
                found[asking] = connection.execute(
                    "SELECT right(read.vehicles_like('2042')::text, 1)"
                ).fetchall()

    assert found == {None: [], "": [], MINE: [("1",)], THEIRS: [("2",)]}


def test_nobody_comes_to_the_keys_but_the_keyring_through_two_functions(
    database: NewDatabase,
) -> None:
    keyring = database("keyring")
    for service in topology.STORING:
        database(service.name)
    migrate(keyring.superuser_dsn, "keyring")
    logins = [f"{service.name}_{login}" for service in topology.STORING for login in LOGINS]
    with psycopg.connect(keyring.superuser_dsn) as connection:
        catalogue = Catalogue(keyring, connection)
        keys = [each for each in catalogue.relations if each.name.startswith("keyring.")]
        held = [(login, each) for login in logins for each in keys if catalogue.held(login, each)]
        callable_ = {
            login: {
                name
                for (name,) in connection.execute(DEFINERS, (login,))
                if name.startswith("keyring.")
            }
            for login in logins
        }
        catalogue.become("keyring_app", None)
        with pytest.raises(InsufficientPrivilege):
            connection.execute("SELECT FROM keyring.subject_key")

    assert held == []
    assert {login: found for login, found in callable_.items() if found} == {
        "keyring_app": {"keyring.unwrap", "keyring.create"}
    }


def test_whoever_was_let_into_the_keyring_before_is_let_in_no_more(
    database: NewDatabase, postgres_server: Server
) -> None:
    database("workshop")
    keyring = database("keyring")
    migrate(keyring.superuser_dsn, "keyring")
    with psycopg.connect(keyring.superuser_dsn) as connection:
        connection.execute(sql.SQL(AS_IT_WAS).format(sql.Identifier(keyring.name)))

    migrate(keyring.superuser_dsn, "keyring")
    prepare(postgres_server, "keyring", PASSWORDS, keyring.name)

    with psycopg.connect(keyring.superuser_dsn) as connection:
        left = connection.execute(
            "SELECT has_database_privilege('workshop_app', current_database(), 'CONNECT'),"
            " has_schema_privilege('workshop_app', 'keyring', 'USAGE'),"
            " has_function_privilege('workshop_app', 'keyring.unwrap(text, text[])', 'EXECUTE'),"
            " has_function_privilege('keyring_app', 'keyring.unwrap(text, text[])', 'EXECUTE')"
        ).fetchone()
    assert left == (False, False, False, True)
