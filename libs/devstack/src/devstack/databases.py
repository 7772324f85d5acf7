"""The databases of the services and the roles that may use them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import Connection, sql
from psycopg.errors import DuplicateDatabase, DuplicateObject, UniqueViolation

from devstack.postgres import Server

LOGINS = ("app", "projector", "relay")
ROLE = "SELECT FROM pg_roles WHERE rolname = %s"
ONE_AT_A_TIME = 0x62617365  # key of the advisory lock: "base"
SERVERS_OWN = ("postgres", "template1")
ADMITTED = """
SELECT DISTINCT pg_get_userbyid(a.grantee) FROM pg_database d, aclexplode(d.datacl) a
 WHERE d.datname = %s AND a.grantee NOT IN (0, d.datdba)"""
DATABASE = "SELECT FROM pg_database WHERE datname = %s"


@dataclass(frozen=True, slots=True)
class Database:
    """One database of `service`, and the connection string of each who may enter it."""

    name: str
    service: str
    superuser_dsn: str
    owner_dsn: str  # what a migration uses: everything it makes belongs to the owner
    app_dsn: str
    projector_dsn: str
    relay_dsn: str


def prepare(server: Server, service: str, passwords: Mapping[str, str], name: str = "") -> Database:
    """Makes what is missing of a service's roles and of its database `name`.

    `<service>_owner` cannot log in and owns everything. Only the roles that serve requests,
    project and relay may connect, and only there: not to the server's own databases either.
    """
    database = name or service
    owner, *logins = (f"{service}_{role}" for role in ("owner", *LOGINS))
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (ONE_AT_A_TIME,))
        _create(connection, ROLE, "CREATE ROLE {} NOLOGIN", owner)
        for role, login in zip(LOGINS, logins, strict=True):
            _create(connection, ROLE, "CREATE ROLE {} LOGIN", login)
            _set_password(connection, login, passwords[role])
        made = "CREATE DATABASE {} OWNER {} TEMPLATE template0"
        _create(connection, DATABASE, made, database, owner)
        for each in (database, *SERVERS_OWN):
            _close(connection, each)
        _allow_to_connect(connection, database, logins)
    return _described(server, service, passwords, database)


def drop(server: Server, database: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        )


def put_in_place(server: Server, draft: str, database: str) -> None:
    """The draft becomes the database, and what was the database is gone."""
    drop(server, database)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        names = map(sql.Identifier, (draft, database))
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))


def _described(
    server: Server, service: str, passwords: Mapping[str, str], database: str
) -> Database:
    app, projector, relay = (
        server.dsn(database, user=f"{service}_{role}", password=passwords[role]) for role in LOGINS
    )
    return Database(
        name=database,
        service=service,
        superuser_dsn=server.dsn(database),
        owner_dsn=server.dsn(database, role=f"{service}_owner"),
        app_dsn=app,
        projector_dsn=projector,
        relay_dsn=relay,
    )


def _create(
    connection: Connection, find: LiteralString, statement: LiteralString, name: str, *more: str
) -> None:
    """Neither knows IF NOT EXISTS; another process may be as fast as we."""
    if connection.execute(find, [name]).rowcount:
        return
    with suppress(DuplicateObject, DuplicateDatabase, UniqueViolation):
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, (name, *more))))


def _set_password(connection: Connection, login: str, password: str) -> None:
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(login), sql.Literal(password))
    )


def _close(connection: Connection, database: str) -> None:
    """To everyone but its owner, whoever was let in before."""
    name = sql.Identifier(database)
    for (role,) in connection.execute(ADMITTED, [database]).fetchall():
        revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM {}")
        connection.execute(revoke.format(name, sql.Identifier(role)))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _allow_to_connect(connection: Connection, database: str, logins: Iterable[str]) -> None:
    name, roles = sql.Identifier(database), sql.SQL(", ").join(map(sql.Identifier, logins))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, roles))
