import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from devstack.databases import Database
from runtime import migrate as module
from runtime.migrate import MigrationRefused, migrate

pytestmark = pytest.mark.integration

FIRST = """
CREATE SCHEMA shelf;
CREATE TABLE shelf.thing (name text PRIMARY KEY, braces jsonb NOT NULL DEFAULT '{"a": "{b}"}');
GRANT USAGE ON SCHEMA shelf TO {app}, {relay}, {projector}, {users};
GRANT SELECT ON shelf.thing TO {app};
ALTER TABLE shelf.thing OWNER TO {owner};
"""
SECOND = "ALTER TABLE shelf.thing ADD COLUMN weight int; SELECT pg_sleep(0.2);"
FOLDER = ("shelfware/migrations",)


@pytest.fixture
def shelfware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with two migrations."""
    folder = tmp_path / "shelfware" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "shelfware" / "__init__.py").touch()
    (folder / "0001_create_things.sql").write_text(FIRST)
    (folder / "0002_weigh_things.sql").write_text(SECOND)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    sys.modules.pop("shelfware", None)


@pytest.fixture
def shop(database: Callable[[str], Database]) -> Database:
    return database("shop")


def migrated(shop: Database) -> list[str]:
    return migrate(shop.superuser_dsn, "shop", FOLDER)


def columns(shop: Database) -> set[str]:
    with psycopg.connect(shop.superuser_dsn) as connection:
        cursor = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'shelf'"
        )
        return {row[0] for row in cursor}


def test_twice_is_once(shop: Database, shelfware: Path) -> None:
    assert migrated(shop) == [
        "shelfware/migrations/0001_create_things.sql",
        "shelfware/migrations/0002_weigh_things.sql",
    ]
    assert migrated(shop) == []
    assert columns(shop) == {"name", "braces", "weight"}


def test_everything_belongs_to_the_owner_and_braces_stay(shop: Database, shelfware: Path) -> None:
    migrated(shop)

    with psycopg.connect(shop.superuser_dsn) as connection:
        connection.execute("INSERT INTO shelf.thing (name) VALUES ('crate')")
        row = connection.execute(
            "SELECT braces, tableowner FROM shelf.thing, pg_tables WHERE tablename = 'thing'"
        )
        assert row.fetchone() == ({"a": "{b}"}, "shop_owner")


def test_the_owners_own_connection_is_good_enough(shop: Database, shelfware: Path) -> None:
    assert len(migrate(shop.owner_dsn, "shop", FOLDER)) == 2


def test_a_changed_file_is_named_before_anything_is_done(shop: Database, shelfware: Path) -> None:
    migrated(shop)
    (shelfware / "0001_create_things.sql").write_text(FIRST + "-- better")
    (shelfware / "0003_colour_things.sql").write_text(
        "ALTER TABLE shelf.thing ADD COLUMN colour text"
    )

    with pytest.raises(
        MigrationRefused, match=r"0001_create_things\.sql was changed after it was applied"
    ):
        migrated(shop)

    assert "colour" not in columns(shop)


def test_a_file_that_fails_is_named_and_leaves_nothing(shop: Database, shelfware: Path) -> None:
    (shelfware / "0002_weigh_things.sql").write_text(
        "ALTER TABLE shelf.thing ADD COLUMN weight int; SELECT 1/0;"
    )

    with pytest.raises(MigrationRefused, match=r"0002_weigh_things\.sql: division by zero"):
        migrated(shop)

    assert columns(shop) == {"name", "braces"}


def test_two_migrators_at_once_do_it_once(shop: Database, shelfware: Path) -> None:
    applied: list[list[str]] = []
    migrators = [threading.Thread(target=lambda: applied.append(migrated(shop))) for _ in range(4)]

    for migrator in migrators:
        migrator.start()
    for migrator in migrators:
        migrator.join()

    assert sorted(len(names) for names in applied) == [0, 0, 0, 2]


def test_a_lock_that_is_held_does_not_stop_the_world(
    shop: Database, shelfware: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMITS", module.LIMITS.replace("'4s'", "'100ms'"))
    (shelfware / "0002_weigh_things.sql").rename(shelfware.parent / "later.sql")
    migrated(shop)
    (shelfware.parent / "later.sql").rename(shelfware / "0002_weigh_things.sql")

    with psycopg.connect(shop.superuser_dsn) as reader:
        reader.execute("SELECT count(*) FROM shelf.thing")
        with pytest.raises(MigrationRefused, match="lock timeout"):
            migrated(shop)


def test_the_command_says_what_it_did(
    shop: Database,
    shelfware: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "FOLDERS", {"shop": FOLDER})
    monkeypatch.setenv("SHOP__DATABASE__MIGRATION_DSN", shop.superuser_dsn)

    module.main(["shop"])
    module.main(["shop"])

    out = capsys.readouterr().out.splitlines()
    assert out[0] == "applied shelfware/migrations/0001_create_things.sql"
    assert out[-1] == "nothing to apply"


def test_the_command_names_the_variable_it_lacks() -> None:
    with pytest.raises(SystemExit, match="ATTIC__DATABASE__MIGRATION_DSN: field required"):
        module.main(["attic"])


def test_a_service_without_migrations_is_a_mistake(shop: Database) -> None:
    with pytest.raises(MigrationRefused, match="no migrations in runtime/nowhere"):
        migrate(shop.superuser_dsn, "shop", ["runtime/nowhere"])
