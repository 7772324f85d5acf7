"""Jars come by Maven, and none is used that is not the one that was published."""

import hashlib
import os
from pathlib import Path

import pytest

from devstack import maven
from devstack.failure import StackFailure
from devstack.maven import Jar

GOOD = b"as it was published"
CONNECT, CODEC = (
    Jar("org.shop.kafka", name, "1.0", hashlib.sha256(GOOD).hexdigest())
    for name in ("connect", "codec")
)
MAVEN = """\
#!/bin/sh
printf '%s\\n' "$@" >>"$0.asked"
for option; do case $option in -Dmaven.repo.local=*) local=${option#*=} ;; esac; done
mkdir -p "$local/org/shop/kafka/codec/1.0"
printf 'as it was published' >"$local/org/shop/kafka/codec/1.0/codec-1.0.jar"
echo "no plugin found for prefix"
exit 1
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a Maven was asked that can get at the codec alone."""
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(MAVEN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return tmp_path / "bin" / "mvn.asked"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "local"


def _put(local: Path, jar: Jar, content: bytes = GOOD) -> None:
    (local / jar.place).parent.mkdir(parents=True)
    (local / jar.place).write_bytes(content)


def test_jars_that_are_there_are_taken_without_asking(
    asked: Path, local: Path, tmp_path: Path
) -> None:
    _put(local, CONNECT)

    maven._fetch([CONNECT], local, tmp_path / "jars")

    assert [each.name for each in (tmp_path / "jars").iterdir()] == ["connect-1.0.jar"]
    assert not asked.exists()


@pytest.mark.parametrize("content", [b"as it was publishee", GOOD + b"\n", b""])
def test_a_jar_with_another_sum_is_named_and_none_is_used(
    asked: Path, local: Path, tmp_path: Path, content: bytes
) -> None:
    _put(local, CONNECT, content)

    with pytest.raises(StackFailure, match=r"not the ones that were published: connect-1\.0\.jar"):
        maven._fetch([CONNECT, CODEC], local, tmp_path / "jars")

    assert not (tmp_path / "jars").exists()


def test_what_is_missing_is_fetched_and_no_plugin_is_run_for_it(
    asked: Path, local: Path, tmp_path: Path
) -> None:
    for folder in ("first", "second"):
        maven._fetch([CODEC], local / folder, tmp_path / folder)

    goals = [line for line in asked.read_text().splitlines() if line.endswith(":none")]
    assert len(set(goals)) == 2  # nobody can offer a plugin of a name that is made up just now
    assert {len(goal) for goal in goals} == {32 + len(":none")}
    assert [each.name for each in (tmp_path / "second").iterdir()] == ["codec-1.0.jar"]


def test_what_cannot_be_fetched_is_named_with_what_maven_said(
    asked: Path, local: Path, tmp_path: Path
) -> None:
    with pytest.raises(StackFailure, match=r"connect-1\.0\.jar:\nno plugin found for prefix"):
        maven._fetch([CONNECT, CODEC], local, tmp_path / "jars")
