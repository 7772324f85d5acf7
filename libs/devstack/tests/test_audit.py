"""What an auditor does at the keyboard, with nothing running."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from audit.adapters.keys import Ed25519Signer
from audit.domain.checkpoint import Checkpoint, signed
from audit.domain.merkle import Frontier, hashes_of, inclusion, leaf_hash
from audit.domain.record import Place, Record
from devstack.cli import app
from devstack.failure import StackFailure

RUNNER = CliRunner()
SIGNER = Ed25519Signer("audit.example", bytes(range(32)))
KEY = SIGNER.verifier().line
RECORDS = [
    Record(Place("acme", "jobs", bytes(16), 1, pos, bytes(16), bytes(16)), (), b"%d" % pos).encoded
    for pos in range(1, 6)
]
LEAVES = [leaf_hash(record) for record in RECORDS]
FRONTIER, COMPLETED = Frontier().grown(LEAVES)
NOTE = signed(Checkpoint("audit.example/acme", 5, FRONTIER.root), SIGNER)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BAYLINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def proof(index: int, **other: Any) -> dict[str, Any]:
    """As the API answers: zeros are left out."""
    kept = {(0, at): leaf for at, leaf in enumerate(LEAVES)} | dict(COMPLETED)
    hashes = hashes_of(inclusion(index, 5), kept.__getitem__)
    record = {"record": text(RECORDS[index])} | ({"index": str(index)} if index else {})
    document = {"record": record, "proof": [text(each) for each in hashes]}
    return document | {"checkpoint": {"note": NOTE}} | other


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def run(*arguments: str) -> Result:
    return RUNNER.invoke(app, ["audit", *arguments])


@pytest.mark.parametrize("index", [0, 3])
def test_a_proof_is_verified_with_nothing_but_the_key(tmp_path: Path, index: int) -> None:
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(proof(index)))

    done = run("verify-proof", str(file), "--key", KEY)

    assert done.exit_code == 0
    assert "is in audit.example/acme of 5" in done.output.replace("\n", "")


def test_a_key_may_stand_in_a_file(tmp_path: Path) -> None:
    file, key = tmp_path / "proof.json", tmp_path / "key"
    file.write_text(json.dumps(proof(1)))
    key.write_text(f"{KEY}\n")

    assert run("verify-proof", str(file), "--key", str(key)).exit_code == 0


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (json.dumps(proof(3, proof=[])), "proves nothing"),
        (json.dumps(proof(3) | {"record": proof(2)["record"]}), "proves nothing"),
        ("{}", "is no proof"),
        ("not even JSON", "is no proof"),
    ],
)
def test_what_proves_nothing_ends_with_1_and_says_why(
    tmp_path: Path, written: str, why: str
) -> None:
    file = tmp_path / "proof.json"
    file.write_text(written)

    done = run("verify-proof", str(file), "--key", KEY)

    assert done.exit_code == 1
    assert isinstance(done.exception, StackFailure)
    assert why in done.exception.message


def test_a_proof_by_another_key_proves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(proof(3)))

    done = run("verify-proof", str(file))  # with the key of this stack, which did not sign it

    assert isinstance(done.exception, StackFailure)
    assert "is not signed by audit.bayline.local" in done.exception.message


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["verify", "--dsn", "postgresql://nobody@127.0.0.1:1/audit"], "does not answer"),
        (["verify", "--export", "/nowhere"], "is no exported log"),
        (["verify", "--export", "/nowhere", "--key", "a+b+c"], "is no verifier key"),
        (["verify", "--export", "/nowhere", "--anchor", "/nowhere"], "cannot be read"),
        (["consistency", "--from", "/nowhere"], "cannot be read"),
        (["reconcile"], "does not run"),
        (["export", "/"], "exists already"),
    ],
)
def test_what_cannot_be_checked_is_no_success(arguments: list[str], why: str) -> None:
    done = run(*arguments)

    assert done.exit_code == 1
    assert isinstance(done.exception, StackFailure)
    assert why in done.exception.message


def test_the_key_of_a_stack_stays_the_same() -> None:
    first, second = run("key"), run("key")

    assert first.output == second.output
    assert first.output.startswith("audit.bayline.local+")
