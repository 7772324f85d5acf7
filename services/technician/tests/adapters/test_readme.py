"""The README names what is there, and nothing else."""

import re
from pathlib import Path
from typing import get_args

import technician
from bayline.api.v1 import annotations_pb2
from bayline.technician.v1 import technician_service_pb2 as pb
from technician.adapters.projections import Roster, workloads
from technician.domain.technician import TechnicianEvent

README = (Path(__file__).parents[2] / "README.md").read_text()
MIGRATIONS = Path(technician.__file__).parent / "migrations"
SQL = (MIGRATIONS / "0002_create_read_models.sql").read_text()


def section(heading: str) -> str:
    return README.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_readme_names_every_command() -> None:
    methods = pb.DESCRIPTOR.services_by_name["TechnicianService"].methods
    commands = {
        method.name
        for method in methods
        if method.GetOptions().Extensions[annotations_pb2.method].command
    }

    assert set(re.findall(r"`([A-Z]\w+)`", section("Commands"))) == commands


def test_the_readme_names_every_event() -> None:
    events = {event.__name__ for event in get_args(TechnicianEvent)}

    assert set(re.findall(r"`([A-Z]\w+)`", section("Events out"))) == events


def test_the_readme_names_every_consumer() -> None:
    consumers = {Roster().name, workloads().name, "technician.forgotten"}

    assert set(re.findall(r"`(technician\.[\w-]+)`", section("Events in"))) == consumers


def test_the_readme_names_every_read_model() -> None:
    tables = set(re.findall(r"CREATE TABLE read\.(\w+)", SQL))
    (row,) = re.findall(r"^\| `read` \|([^|]*)\|", section("Tables"), re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", row)) == tables
