"""Every command that a page or a hint names is one that there is, with the options it has."""

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup

from devstack.cli import app

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`bayline ([^`\n]+)`")
PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "services/*/README.md")
SOURCES = ("libs/*/src/**/*.py", "services/*/src/**/*.py")


def test_every_command_that_is_named_exists() -> None:
    named = dict(_named())

    wrong = {command: where for command, where in named.items() if not _exists(command.split())}

    assert len(named) > 20
    assert wrong == {}


def test_what_is_no_command_or_option_is_found() -> None:
    assert _exists(["audit", "verify", "--dsn", "...", "--anchor", "<that", "file>"])
    assert _exists(["audit", "key|verify"])
    assert not _exists(["audit", "forge"])
    assert not _exists(["status", "--lines"])
    assert not _exists(["backup", "--erased", "FILE"])


def _named() -> Iterator[tuple[str, str]]:
    for pattern in (*PAGES, *SOURCES):
        for file in ROOT.glob(pattern):
            for command in NAMED.findall(file.read_text()):
                yield command, str(file.relative_to(ROOT))


def _exists(words: list[str]) -> bool:
    command = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        names, *words = words
        if not set(names.split("|")) <= set(command.commands):
            return False
        command = command.commands[names.split("|")[0]]
    options = {name for each in command.params for name in each.opts} | {"--help"}
    return {word.partition("=")[0] for word in words if word.startswith("-")} <= options
