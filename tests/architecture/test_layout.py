"""The README tells the truth about what is here."""

import re
from pathlib import Path

import pytest

from devstack import topology

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"common", "utils", "helpers", "constants.py", "base.py"}


def test_the_readme_lists_exactly_the_services_that_run() -> None:
    table = re.findall(r"^\| \[?`?(\w+)`?\]?", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert {service.name for service in topology.SERVICES} <= set(table)


@pytest.mark.parametrize("service", topology.SERVICES, ids=lambda each: each.name)
def test_a_service_readme_says_what_it_owns_and_how_it_fails(service: topology.Service) -> None:
    readme = (ROOT / "services" / service.name / "README.md").read_text()

    for heading in ("Owns", "Failure modes", "Run alone"):
        assert f"## {heading}" in readme
    for log in topology.logs():
        if topology.owner_of(log) == service.name:
            assert log.rpartition(".")[2] in readme


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
