import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic_settings import SettingsConfigDict

from devstack import topology
from devstack.environments import Environments
from devstack.places import CHECKOUT
from devstack.secrets import Secrets
from devstack.stack import Stack
from devstack.topology import Service
from runtime.settings import ServiceSettings, StoringSettings


def test_no_two_parts_want_the_same_port(tmp_path: Path) -> None:
    parts = Stack.at(tmp_path).parts.all()
    wanted = Counter(port for part in parts for port in part.ports)

    assert max(wanted.values()) == 1


def test_a_second_stack_moves_every_port(tmp_path: Path) -> None:
    first, second = Stack.at(tmp_path).parts.all(), Stack.at(tmp_path, 1000).parts.all()

    assert [tuple(port + 1000 for port in part.ports) for part in first] == [
        part.ports for part in second
    ]


def test_no_source_but_the_table_names_one_of_its_ports(tmp_path: Path) -> None:
    """Whoever does prints or serves the addresses of the first stack in the second."""
    ports = {str(port) for part in Stack.at(tmp_path).parts.all() for port in part.ports}
    table = Path(str(topology.__file__))
    sources = [
        file
        for top in ("libs", "services")
        for file in (CHECKOUT / top).rglob("src/**/*")
        if file.suffix in {".py", ".toml", ".html", ".js"} and file != table
    ]

    naming = {file.name: found for file in sources if (found := ports & _numbers(file.read_text()))}

    assert len(sources) > 200
    assert naming == {}


def test_every_log_of_the_contracts_belongs_to_a_service() -> None:
    owners = {topology.owner_of(log) for log in topology.logs()}

    assert owners == {service.name for service in topology.EVENT_SOURCED}


def test_job_events_are_a_log() -> None:
    assert "bayline.workshop.v1.JobEvent" in topology.logs()


@pytest.mark.parametrize("service", topology.SERVICES, ids=lambda service: service.name)
def test_a_service_finds_all_its_settings(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in Environments(Secrets(tmp_path / "secrets.json")).of(service).items():
        monkeypatch.setenv(name, value)

    kind = _kind(service)
    settings = _with_prefix(kind, service.prefix)()

    assert set(settings.peers) == set(service.peers)
    assert settings.admin.port == service.admin_port


def test_nobody_is_given_the_key_of_keys_or_a_database_of_others_but_its_owner(
    tmp_path: Path,
) -> None:
    environments = Environments(Secrets(tmp_path / "secrets.json"))
    kek = environments.secrets.key("kek")
    given = {each.name: environments.of(each).values() for each in topology.SERVICES}

    holders = [name for name, values in given.items() if kek in values]
    entered = {
        (name, value.rpartition("/")[2])
        for name, values in given.items()
        for value in values
        if value.startswith("postgresql://")
    }

    assert holders == ["keyring"]
    assert entered == {(each.name, each.name) for each in topology.STORING}


def test_what_the_caller_sets_for_a_service_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP__TELEMETRY__SAMPLING_RATIO", "1")
    monkeypatch.setenv("VEHICLE__TELEMETRY__SAMPLING_RATIO", "0")

    given = Environments(Secrets(tmp_path / "secrets.json")).of(topology.service("workshop"))

    assert given["WORKSHOP__TELEMETRY__SAMPLING_RATIO"] == "1"
    assert "VEHICLE__TELEMETRY__SAMPLING_RATIO" not in given


def _kind(service: Service) -> type[ServiceSettings]:
    return StoringSettings if service.stores else ServiceSettings


def _with_prefix(kind: type[ServiceSettings], prefix: str) -> type[ServiceSettings]:
    class Settings(kind):  # type: ignore[valid-type, misc] # the kind is a parameter
        model_config = SettingsConfigDict(env_prefix=prefix)

    return Settings


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\b\d{4,5}\b", text))
