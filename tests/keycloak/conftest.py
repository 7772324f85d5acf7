"""Keycloak from its published distribution, and the whole stack behind it."""

import hashlib
import http.client
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from devstack import topology
from devstack.places import BUILD, environment
from devstack.ports import HOST, free_port
from devstack.processes import Program, run, spawn, stop, wait_until_ready
from devstack.stack import Stack
from testkit.servers import own_stack

VERSION = "26.7.3"
SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
ARTIFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
FOLDER = BUILD / "keycloak"
HOME = FOLDER / f"keycloak-{VERSION}"
REALM = Path(__file__).parent / "realm.json"
PASSWORD = "tests-only"
START_SECONDS = 180.0  # it builds itself before it starts


@pytest.fixture(scope="session")
def realm() -> Iterator[str]:
    """The address of the realm, which is the issuer of its tokens."""
    _fetch()
    shutil.copy(REALM, HOME / "data" / "import" / "realm.json")
    port, health = free_port(), free_port()
    program = _program(port, health)
    program.log.unlink(missing_ok=True)
    running = spawn(program, dies_with_parent=True)
    try:
        wait_until_ready(running, program.log, lambda: _complaint(health), START_SECONDS)
        yield f"http://{HOST}:{port}/realms/bayline"
    finally:
        stop(running)


@pytest.fixture(scope="session")
def stack(realm: str) -> Iterator[Stack]:
    """Told of another issuer by environment variables, and by nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        for service in topology.SERVICES:
            for name, value in settings(realm).items():
                patch.setenv(service.prefix + name, value)
        with own_stack() as running:
            yield running


def settings(realm: str) -> dict[str, str]:
    protocol = f"{realm}/protocol/openid-connect"
    return {
        "IDENTITY__ISSUER": realm,
        "IDENTITY__JWKS_URL": f"{protocol}/certs",
        "IDENTITY__CLAIMS__ROLES": "realm_access.roles",
        "WORKLOAD__TOKEN_URL": f"{protocol}/token",
        "WORKLOAD__CLIENT_SECRET": PASSWORD,
        "LOGIN__AUTHORIZE_URL": f"{protocol}/auth",
        "LOGIN__TOKEN_URL": f"{protocol}/token",
    }


def _fetch() -> None:
    archive = FOLDER / f"keycloak-quarkus-dist-{VERSION}.zip"
    if HOME.exists():
        return
    copy = (f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={FOLDER}")
    done = run(("mvn", "-q", "-B", "dependency:copy", *copy))
    assert done.returncode == 0, done.stdout
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256
    with ZipFile(archive) as packed:
        packed.extractall(FOLDER / "draft")
    draft = FOLDER / "draft" / HOME.name
    (draft / "bin" / "kc.sh").chmod(0o755)
    (draft / "data" / "import").mkdir(parents=True)
    draft.rename(HOME)
    draft.parent.rmdir()
    archive.unlink()


def _program(port: int, health: int) -> Program:
    listening = (f"--http-host={HOST}", f"--http-port={port}", f"--http-management-port={health}")
    return Program(
        "keycloak",
        (
            str(HOME / "bin" / "kc.sh"),
            *("start-dev", "--db=dev-mem", "--import-realm", "--health-enabled=true"),
            *listening,
        ),
        log=FOLDER / "keycloak.log",
        env={
            **environment("JAVA_HOME"),
            "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
            "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD,
            "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
        },
    )


def _complaint(port: int) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()
    return "" if answer.status == http.client.OK else str(answer.status)
