"""What PostgreSQL writes to its log: every error in one line, and nobody's data."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql

from devstack import databases
from devstack.databases import Database
from kernel.ids import Uuid7
from runtime.migrate import migrate
from testkit.servers import PASSWORDS, OwnPostgres, own_postgres

pytestmark = pytest.mark.integration
VIN = "WVWZZZ1JZXW000001"


@pytest.fixture(scope="module")
def own() -> Iterator[OwnPostgres]:
    with own_postgres(durable=False) as own:
        yield own


@pytest.fixture(scope="module")
def vehicle(own: OwnPostgres) -> Database:
    made = databases.prepare(own.server, "vehicle", PASSWORDS)
    migrate(made.superuser_dsn, "vehicle")
    return made


def test_a_refusal_is_one_line_that_names_nobody(own: OwnPostgres, vehicle: Database) -> None:
    with psycopg.connect(vehicle.app_dsn, autocommit=True) as app:
        kept = Uuid7().new()
        _append(app, kept, key="first")
        before = _lines(own)

        with pytest.raises(psycopg.Error) as claimed:
            _append(app, Uuid7().new(), key="second")
        with pytest.raises(psycopg.Error) as stale:
            _append(app, kept, key="third")
        with pytest.raises(psycopg.Error) as reused:
            _append(app, kept, key="first", command=b"another")

    codes = [each.value.sqlstate for each in (claimed, stale, reused)]
    assert codes == ["ES423", "ES409", "ES422"]
    _one_line_each(_lines(own)[len(before) :], codes)


def test_a_real_error_is_told_without_the_row_it_met(own: OwnPostgres, vehicle: Database) -> None:
    with psycopg.connect(vehicle.superuser_dsn, autocommit=True) as owner:
        owner.execute("CREATE TABLE plate (vin text PRIMARY KEY, at int CHECK (at > 0))")
        owner.execute("INSERT INTO plate VALUES (%s, 1)", [VIN])
        before = _lines(own)

        with pytest.raises(errors.UniqueViolation):
            owner.execute("INSERT INTO plate VALUES (%s, 1)", [VIN])
        with pytest.raises(errors.CheckViolation):
            owner.execute(sql.SQL("INSERT INTO plate VALUES ({}, 0)").format(VIN + "x"))
        with pytest.raises(errors.DivisionByZero):
            owner.execute("SELECT %s::text, 1 / %s", [VIN, 0])

    written = _lines(own)[len(before) :]
    _one_line_each(written, ["23505", "23514", "22012"])
    assert "duplicate key value" in written[0]
    assert "plate_at_check" in written[1]
    assert "division by zero" in written[2]


def _append(
    app: psycopg.Connection, stream: UUID, *, key: str, command: bytes = b"command"
) -> None:
    """A vehicle's first event, which claims the VIN."""
    app.execute("SELECT set_config('bayline.tenant', 'acme', false)")
    app.execute(
        "SELECT es.append('bayline.vehicle.v1.VehicleEvent', 'acme', %s, 0, %s, %s, %s::uuid[],"
        " '{T}', ARRAY[now()], ARRAY[''::bytea], ARRAY[''::bytea], '{vin}', '{vin}', %s, %s)",
        (stream, key, command, [Uuid7().new()], [VIN], ["(,)"]),
    )


def _lines(own: OwnPostgres) -> list[str]:
    return own.cluster.log.read_text().splitlines()


def _one_line_each(written: list[str], codes: list[str | None]) -> None:
    assert [line.partition("ERROR")[0].split()[-1] for line in written] == codes
    assert VIN not in "\n".join(written)
