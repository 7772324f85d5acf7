"""Numbered SQL files, forward only, each applied once: `python -m runtime.migrate workshop`."""

import hashlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ONE_AT_A_TIME = 0x6261796C  # key of the advisory lock: "bayl"
LIMITS = "SET LOCAL lock_timeout = '4s'; SET LOCAL statement_timeout = '5s'"
LEDGER = """
CREATE SCHEMA IF NOT EXISTS migration;
CREATE TABLE IF NOT EXISTS migration.applied (
  package text, file text, checksum text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (package, file));
"""
EVENT_SOURCED = ("eventstore/migrations", "messaging/migrations")
FOLDERS: Mapping[str, Sequence[str]] = {
    "audit": ("messaging/migrations", "audit/migrations"),
    "keyring": (*EVENT_SOURCED, "eventstore/keyring_migrations", "keyring/migrations"),
}


class MigrationRefused(Exception):
    """What was applied once is not what stands there now, or what should be there is not."""


@dataclass(frozen=True, slots=True)
class Migration:
    package: str
    file: str
    statements: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.statements.encode()).hexdigest()


def folders_of(service: str) -> Sequence[str]:
    """`package/folder` of each set of migrations, in the order of their dependence."""
    return FOLDERS.get(service, (*EVENT_SOURCED, f"{service}/migrations"))


def migrate(dsn: str, service: str, folders: Sequence[str] | None = None) -> list[str]:
    """Applies what is missing as `<service>_owner`, a transaction for each file.

    A second migrator waits for the first. A file that was changed after it was applied is
    refused by name, before anything is done. Returns the names of what was applied.
    """
    wanted = [step for folder in folders or folders_of(service) for step in _found(folder)]
    words = _placeholders(service)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(f"{service}_owner")))
        connection.execute("SELECT pg_advisory_lock(%s)", (ONE_AT_A_TIME,))
        missing = _missing(connection, wanted)
        for step in missing:
            _apply(connection, step, words)
    return [f"{step.package}/{step.file}" for step in missing]


def names_of(service: str) -> list[str]:
    """What this release would apply to an empty database."""
    found = (step for folder in folders_of(service) for step in _found(folder))
    return [f"{step.package}/{step.file}" for step in found]


def _found(folder: str) -> list[Migration]:
    package, _, below = folder.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MigrationRefused(f"there is no package {package}")
    files = sorted((Path(spec.origin).parent / below).glob("*.sql"))
    if not files:
        raise MigrationRefused(f"there are no migrations in {folder}")
    return [Migration(folder, file.name, file.read_text()) for file in files]


def _missing(
    connection: psycopg.Connection[tuple[object, ...]], wanted: Sequence[Migration]
) -> list[Migration]:
    with connection.transaction():
        connection.execute(LEDGER)
    query = "SELECT package, file, checksum FROM migration.applied"
    applied = {(row[0], row[1]): row[2] for row in connection.execute(query)}
    for step in wanted:
        if applied.get((step.package, step.file), step.checksum) != step.checksum:
            raise MigrationRefused(
                f"{step.package}/{step.file} was changed after it was applied: "
                "put it back, and add a new file"
            )
    return [step for step in wanted if (step.package, step.file) not in applied]


def _apply(
    connection: psycopg.Connection[tuple[object, ...]], step: Migration, words: Mapping[str, str]
) -> None:
    statements = step.statements
    for word, value in words.items():
        statements = statements.replace("{" + word + "}", value)
    try:
        with connection.transaction():
            connection.execute(LIMITS)
            connection.execute(statements)
            connection.execute(
                "INSERT INTO migration.applied (package, file, checksum) VALUES (%s, %s, %s)",
                (step.package, step.file, step.checksum),
            )
    except psycopg.Error as error:
        raise MigrationRefused(f"{step.package}/{step.file}: {error}") from error


def _placeholders(service: str) -> Mapping[str, str]:
    """Role names as SQL identifiers, by the word that stands for them in a file."""
    roles = {role: f'"{service}_{role}"' for role in ("owner", "app", "relay", "projector")}
    return roles | {"users": roles["app"]}  # who calls the keyring's functions, in its first file


class MigrationDatabase(BaseModel):
    migration_dsn: SecretStr  # of a role that may become the owner


class MigrationSettings(BaseSettings):
    """`<SERVICE>__DATABASE__MIGRATION_DSN`."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True)
    database: MigrationDatabase


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m runtime.migrate SERVICE")
    service = arguments[0]
    try:
        settings = MigrationSettings(_env_prefix=f"{service.upper()}__")
    except ValueError:
        sys.exit(f"{service.upper()}__DATABASE__MIGRATION_DSN: field required")
    database = settings.database
    try:
        applied = migrate(database.migration_dsn.get_secret_value(), service)
    except (MigrationRefused, psycopg.OperationalError) as error:
        sys.exit(f"{service}: {error}")
    sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "nothing to apply\n")


if __name__ == "__main__":
    main(sys.argv[1:])
