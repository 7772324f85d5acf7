import json
import socket
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from typer.testing import CliRunner, Result

from devstack.cli import app, main
from devstack.grants import challenge_of
from devstack.ports import holder, is_free
from devstack.stack import Stack
from devstack.topology import ISSUER_PORT

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BAYLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BAYLINE_PORT_OFFSET", str(Stack.beside(tmp_path).parts.environments.offset))
    return tmp_path / "home"


@pytest.fixture
def issuer_port() -> int:
    return ISSUER_PORT + Stack.here().parts.environments.offset


def test_a_token_says_who_and_where(issuer_port: int) -> None:
    done = _run("token", "--tenant", "acme", "--role", "technician", "--technician", "t-7", "--site", "north")  # fmt: skip

    claims = _claims(done.stdout)
    assert {name: claims[name] for name in ("tenant", "roles", "sites", "technician", "iss")} == {
        "tenant": "acme",
        "roles": ["technician"],
        "sites": ["north"],
        "technician": "t-7",
        "iss": f"http://127.0.0.1:{issuer_port}",
    }


def test_a_token_lives_as_long_as_asked() -> None:
    claims = _claims(_run("token", "--tenant", "acme", "--role", "admin", "--ttl", "60").stdout)

    assert claims["exp"] - claims["iat"] == 60


def test_an_unknown_role_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _failed(["token", "--tenant", "acme", "--role", "boss"], capsys, monkeypatch)

    assert "there is no boss" in said
    assert "service_manager" in said


def test_the_status_of_a_stack_that_does_not_run_is_a_failure() -> None:
    done = _run("status", "--json")

    states = {one["name"]: one["state"] for one in json.loads(done.stdout)["processes"]}
    assert done.exit_code == 1
    assert set(states.values()) == {"down"}


def test_a_stack_that_does_not_run_is_one_thing_that_is_wrong() -> None:
    [wrong] = json.loads(_run("status", "--json").stdout)["wrong"]

    assert (wrong["name"], wrong["what"]) == ("stack", "nothing runs")


def test_a_unit_for_systemd_supervises_this_very_stack(home: Path) -> None:
    printed = _run("supervise", "--systemd").stdout

    assert (
        f"BAYLINE_HOME={home} BAYLINE_PORT_OFFSET={Stack.here().parts.environments.offset}"
        in printed
    )
    assert "bayline supervise\n" in printed


def test_stopping_what_does_not_run_says_so() -> None:
    done = _run("down")

    assert (done.exit_code, done.stdout.strip()) == (0, "Nothing runs.")


def test_a_busy_port_is_named_with_its_holder(
    issuer_port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", issuer_port)):
        said = _failed(["up"], capsys, monkeypatch)

    assert f"issuer needs port {issuer_port}" in said
    assert _run("status").exit_code == 1
    assert "pid" in said
    assert "BAYLINE_PORT_OFFSET" in said


def test_a_port_is_free_until_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert not is_free(port)
        assert "pid" in holder(port)

    assert is_free(port)


def test_a_folder_without_a_backup_is_not_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "holds no backup" in _failed(["restore", str(tmp_path)], capsys, monkeypatch)


def test_what_is_no_event_id_is_said_to_be_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is no event id" in _failed(["explain", "J-1042"], capsys, monkeypatch)


def test_questions_to_a_stack_that_does_not_run_say_how_to_start_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for question in (["topics"], ["projections", "status"]):
        assert "bayline up" in _failed(question, capsys, monkeypatch)


def test_a_challenge_is_that_of_the_standard() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def _run(*arguments: str) -> Result:
    return RUNNER.invoke(app, arguments)


def _failed(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setattr("sys.argv", ["bayline", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    return capsys.readouterr().err


def _claims(token: str) -> dict[str, Any]:
    return dict(json.loads(jws.extract_compact(token.strip().encode()).payload))
