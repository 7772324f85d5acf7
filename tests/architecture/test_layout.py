"""The README tells the truth about what is here."""

import re
from pathlib import Path

import pytest

from devstack import topology
from gateway.main import OWN, PEERS
from transcoding.descriptors import method_rules

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"common", "utils", "helpers", "constants.py", "base.py"}


def test_the_readme_lists_exactly_the_services_that_run_with_what_they_publish() -> None:
    published = {
        service.name: {log for log in topology.logs() if topology.owner_of(log) == service.name}
        for service in topology.SERVICES
    }

    listed = {name: set(re.findall(r"`(\w+Event)`", row[3])) for name, row in _services().items()}

    assert listed == {name: {_short(log) for log in logs} for name, logs in published.items()}


def test_the_readme_counts_the_commands_of_each_service() -> None:
    counted = {
        service.file.package.split(".")[1]: sum(
            method_rules(method).command for method in service.methods
        )
        for service in (*PEERS.values(), OWN)
    }

    assert {name: int(row[2].split(":")[0]) for name, row in _services().items()} == counted


@pytest.mark.parametrize("service", topology.SERVICES, ids=lambda each: each.name)
def test_a_service_readme_says_what_it_owns_and_how_it_fails(service: topology.Service) -> None:
    readme = (ROOT / "services" / service.name / "README.md").read_text()

    for heading in ("Owns", "Failure modes", "Run alone"):
        assert f"## {heading}" in readme
    for log in topology.logs():
        if topology.owner_of(log) == service.name:
            assert _short(log) in readme


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("services/*/README.md"),
    ]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_there_is_no_drawer_for_everything() -> None:
    found = {path.name for top in ("libs", "services") for path in (ROOT / top).rglob("*")}

    assert not FORBIDDEN & found


def _services() -> dict[str, list[str]]:
    """The rows of the README's table by service: name, owns, commands, publishes, projects."""
    table = (ROOT / "README.md").read_text().partition("\n## Services\n")[2].partition("\n## ")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| [")]
    return {re.sub(r"\[(\w+)\].*", r"\1", row[0]): row for row in rows}


def _short(log: str) -> str:
    return log.rpartition(".")[2]
