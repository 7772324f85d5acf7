"""A member can be installed alone: what it imports, its pyproject.toml names."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
OURS = {member.name: f"bayline-{member.name}" for member in MEMBERS} | {
    "bayline": "bayline-contracts"
}
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,-]+)\])?")


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_member_declares_what_it_imports(member: Path) -> None:
    declared = {f"bayline-{member.name}", *_declared(member)}

    owners = {name: _owners(name) for name in _imported(member)}

    assert {", ".join(each): name for name, each in owners.items() if not each & declared} == {}


def test_what_members_need_is_named_with_its_reason() -> None:
    lines = (ROOT / "requirements.in").read_text().splitlines()
    named = {each for line in lines for each in _requirement(line.partition("#")[0])}

    needed = {each for member in MEMBERS for each in _declared(member)} - set(OURS.values())

    assert needed <= named, needed - named


def _declared(member: Path) -> set[str]:
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    return {each for line in project["dependencies"] for each in _requirement(line)}


def _requirement(line: str) -> Iterator[str]:
    """`psycopg[pool]` brings `psycopg-pool` along."""
    if found := REQUIREMENT.match(line):
        name, extras = found.groups(default="")
        yield name
        yield from (f"{name}-{extra}" for extra in extras.split(",") if extra)


def _imported(member: Path) -> set[str]:
    """Dotted names; the last part may be a module or something within one."""
    found = {name for path in (member / "src").rglob("*.py") for name in _imports(path)}
    return {name for name in found if name.partition(".")[0] not in sys.stdlib_module_names}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _owners(name: str) -> set[str]:
    """The distributions that hold the module, or the one it stands in."""
    if ours := OURS.get(name.partition(".")[0]):
        return {ours}
    while name and name not in _installed():
        name = name.rpartition(".")[0]
    return _installed().get(name, set())


@cache
def _installed() -> dict[str, set[str]]:
    found = defaultdict(set)
    for each in distributions():
        for file in each.files or ():
            if file.suffix in (".py", ".so"):
                module = file.with_name(file.name.partition(".")[0])
                parts = module.parent.parts if module.name == "__init__" else module.parts
                found[".".join(parts)].add(each.name.lower().replace("_", "-"))
    return dict(found)
