"""The README names what is there, and nothing else."""

import re
from pathlib import Path

from bayline.api.v1 import annotations_pb2
from bayline.workshop.v1 import workshop_service_pb2 as pb
from workshop.adapters import kafka
from workshop.adapters.projections import JobRows, fleet, roster, site_list

README = (Path(__file__).parents[2] / "README.md").read_text()
SQL = (Path(kafka.__file__).parents[1] / "migrations" / "0003_create_read_models.sql").read_text()


def section(heading: str) -> str:
    return README.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_readme_names_every_command() -> None:
    methods = pb.DESCRIPTOR.services_by_name["WorkshopService"].methods
    commands = {
        method.name
        for method in methods
        if method.GetOptions().Extensions[annotations_pb2.method].command
    }

    assert set(re.findall(r"`([A-Z]\w+)`", section("Commands"))) == commands


def test_the_readme_names_every_consumer() -> None:
    consumers = {
        JobRows.name,
        site_list().name,
        fleet().name,
        roster().name,
        kafka.CertificationReactions.name,
        "workshop.forgotten",
    }

    assert set(re.findall(r"`(workshop\.[\w-]+)`", section("Events in"))) == consumers


def test_the_readme_names_every_read_model() -> None:
    tables = set(re.findall(r"CREATE TABLE read\.(\w+)", SQL))
    (row,) = re.findall(r"^\| `read` \|([^|]*)\|", section("Tables"), re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", row)) == tables
