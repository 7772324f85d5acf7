"""The README names what is there, and nothing else."""

import re
from pathlib import Path

from bayline.api.v1 import annotations_pb2
from bayline.keyring.v1 import keyring_service_pb2, subject_pb2

README = (Path(__file__).parents[2] / "README.md").read_text()


def section(heading: str) -> str:
    return README.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_readme_names_every_command() -> None:
    methods = keyring_service_pb2.DESCRIPTOR.services_by_name["KeyringService"].methods
    commands = {
        method.name
        for method in methods
        if method.GetOptions().Extensions[annotations_pb2.method].command
    }

    assert set(re.findall(r"`([A-Z]\w+)`", section("Commands"))) == commands


def test_the_readme_names_every_event() -> None:
    cases = subject_pb2.SubjectEvent.DESCRIPTOR.oneofs_by_name["event"].fields
    events = {case.message_type.name for case in cases if case.message_type}

    assert set(re.findall(r"`([A-Z]\w+)`", section("Events out"))) == events
