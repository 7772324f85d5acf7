"""A change of a message that others have stored or sent does not get past the build."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVENTS = "protos/bayline/vehicle/v1/vehicle.proto"
FIELD = "string plate = 4;"


def retyped(text: str) -> str:
    return text.replace(FIELD, "int32 plate = 4;", 1)


def renumbered(text: str) -> str:
    return text.replace(FIELD, "string plate = 93;", 1)


def removed(text: str) -> str:
    return text.replace(FIELD, "", 1)


def renamed(text: str) -> str:
    return text.replace(FIELD, "string number_plate = 4;", 1)


def breaking(changed: Path) -> subprocess.CompletedProcess[str]:
    buf = Path(sys.executable).with_name("buf")
    return subprocess.run(  # noqa: S603 -- our own linter
        (buf, "breaking", changed, "--against", changed.parent / "released"),
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def googleapis() -> Path:
    subprocess.run([ROOT / "scripts/googleapis"], check=True)  # noqa: S603 -- our own script
    return ROOT / "build/googleapis"


@pytest.fixture
def changed(tmp_path: Path, googleapis: Path) -> Path:
    """A copy of the contract beside the one that is released."""
    for name in ("released", "changed"):
        (tmp_path / name / "build").mkdir(parents=True)
        shutil.copy(ROOT / "buf.yaml", tmp_path / name)
        shutil.copytree(ROOT / "protos", tmp_path / name / "protos")
        shutil.copytree(googleapis, tmp_path / name / "build/googleapis")
    return tmp_path / "changed"


def test_the_contract_as_it_is_breaks_nothing(changed: Path) -> None:
    assert breaking(changed).returncode == 0


@pytest.mark.parametrize("change", [retyped, renumbered, removed, renamed])
def test_a_breaking_change_is_refused_by_name(changed: Path, change: Callable[[str], str]) -> None:
    path = changed / EVENTS
    path.write_text(change(path.read_text()))

    refused = breaking(changed)

    assert refused.returncode == 100
    assert "plate" in refused.stdout
