"""A service's README names what is there, and nothing else."""

import re
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from devstack import topology
from testkit.proof.folds import NO_ROWS, projections
from testkit.surface import answering, services
from transcoding.descriptors import method_rules

ROOT = Path(__file__).parents[2]
CREATED = re.compile(r"CREATE TABLE read\.(\w+)")
TYPE = re.compile(r"`([A-Z]\w+)`")


class Readme:
    def __init__(self, service: str) -> None:
        self.service = service
        self._folder = ROOT / "services" / service
        self._text = (self._folder / "README.md").read_text()

    def section(self, heading: str) -> str:
        return self._text.partition(f"## {heading}\n")[2].partition("\n## ")[0]

    def created(self) -> set[str]:
        files = self._folder.glob("src/*/migrations/*.sql")
        return {table for file in files for table in CREATED.findall(file.read_text())}


@pytest.fixture(params=[each.name for each in topology.EVENT_SOURCED])
def readme(request: pytest.FixtureRequest) -> Readme:
    return Readme(request.param)


def test_a_readme_names_every_command(readme: Readme) -> None:
    methods = [
        method
        for service in services()
        if answering(service) == [readme.service]
        for method in service.methods
    ]

    assert set(TYPE.findall(readme.section("Commands"))) == {
        method.name for method in methods if method_rules(method).command
    }


def test_a_readme_names_every_event(readme: Readme) -> None:
    pool = descriptor_pool.Default()
    logs = [log for log in topology.logs() if topology.owner_of(log) == readme.service]
    cases = [
        case
        for log in logs
        for case in pool.FindMessageTypeByName(log).oneofs_by_name["event"].fields
    ]

    assert set(TYPE.findall(readme.section("Events out"))) == {
        case.message_type.name for case in cases if case.message_type
    }


def test_a_readme_names_every_consumer(readme: Readme) -> None:
    folded = {each.projection.name for each in projections()[readme.service]}
    others = {name for name in NO_ROWS if name.startswith(f"{readme.service}.")}

    named = re.findall(rf"`({readme.service}\.[\w-]+)`", readme.section("Events in"))

    assert set(named) == folded | others


def test_a_readme_names_every_read_model(readme: Readme) -> None:
    rows = re.findall(r"^\| `read` \|([^|]*)\|", readme.section("Tables"), re.MULTILINE)

    assert {table for row in rows for table in re.findall(r"`(\w+)`", row)} == readme.created()
