"""The contract holds together: names, policies, problems, wire forms."""

import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import ServiceDescriptor

from bayline.audit.v1 import audit_service_pb2
from bayline.event.v1 import event_log_service_pb2
from bayline.gateway.v1 import gateway_service_pb2
from bayline.keyring.v1 import key_service_pb2, keyring_service_pb2
from bayline.technician.v1 import technician_service_pb2
from bayline.vehicle.v1 import vehicle_service_pb2
from bayline.workshop.v1 import workshop_service_pb2
from eventstore.tables import UNREAD
from gateway.live.rows import resource_of
from gateway.problems import STATUS, catalogue
from kernel.errors import DomainError
from runtime.errors import kind_of
from runtime.policy import Policies
from transcoding.descriptors import method_rules

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "eventstore",
    "runtime",
    "transcoding",
    "workshop",
    "vehicle",
    "technician",
    "keyring",
    "audit",
    "gateway",
)
MODULES = (
    audit_service_pb2,
    event_log_service_pb2,
    gateway_service_pb2,
    key_service_pb2,
    keyring_service_pb2,
    technician_service_pb2,
    vehicle_service_pb2,
    workshop_service_pb2,
)
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()
)
SAID_OTHERWISE = {"KEY_REUSED": 422, "REQUEST_INVALID": 422}
"""Reasons whose status is not that of their kind, each with an ADR (0008)."""


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_every_rpc_has_a_policy_and_every_policy_an_rpc(service: ServiceDescriptor) -> None:
    package = service.file.package.replace(".", "/")

    policies = Policies.load(f"{package}/policies.cedar")

    policies.check_names(f"{service.full_name}/{method.name}" for method in service.methods)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_an_rpc_is_either_internal_or_has_a_rest_route(service: ServiceDescriptor) -> None:
    for method in service.methods:
        public = method.GetOptions().HasExtension(annotations_pb2.http)
        assert public != method_rules(method).internal, method.full_name


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_an_internal_rpc_says_what_policies_look_at(service: ServiceDescriptor) -> None:
    for method in service.methods:
        said = {method_rules(method).about} & set(method.input_type.fields_by_name)
        assert bool(said) == method_rules(method).internal, method.full_name


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_a_command_can_be_sent_twice_and_a_change_can_name_the_version_it_saw(
    service: ServiceDescriptor,
) -> None:
    for method in service.methods:
        fields = method.input_type.fields_by_name
        assert ("request_id" in fields) == method_rules(method).command, method.full_name
        if method_rules(method).command and "name" in fields:
            assert "etag" in fields, method.full_name


def test_every_refusal_is_in_the_catalogue_with_the_status_of_its_kind() -> None:
    entries = catalogue()

    for error in _refusals():
        assert error.reason in entries, f"{error.__module__}.{error.__name__}"
        status = (
            SAID_OTHERWISE.get(error.reason) or getattr(error, "status", 0) or STATUS[_kind(error)]
        )
        assert entries[error.reason].status == status, error.reason


def test_every_problem_the_contract_names_is_a_refusal_of_ours() -> None:
    reasons = {error.reason for error in _refusals()}
    named = {
        problem
        for service in SERVICES
        for each in service.methods
        for problem in method_rules(each).problems
    }

    assert named <= reasons, named - reasons


def test_the_catalogue_explains_nothing_that_cannot_happen() -> None:
    reasons = {error.reason for error in _refusals()}
    edge = {
        "ROUTE_NOT_FOUND",
        "METHOD_NOT_ALLOWED",
        "INTERNAL",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
    }

    assert set(catalogue()) - reasons == edge


def test_every_resource_that_a_log_folds_to_says_how_many_events_it_lacks() -> None:
    topology = import_module("devstack.topology")

    lacking = [log for log in topology.logs() if UNREAD not in resource_of(log).fields_by_name]

    assert not lacking


def test_one_name_everywhere() -> None:
    services = {path.name for path in (ROOT / "services").iterdir() if path.is_dir()}

    for name in services:
        assert (ROOT / "services" / name / "src" / name / "main.py").exists()
        assert (ROOT / "protos" / "bayline" / name / "v1" / "policies.cedar").exists()
        project = tomllib.loads((ROOT / "services" / name / "pyproject.toml").read_text())
        assert project["project"]["name"] == f"bayline-{name}"
    assert services == {service.name for service in import_module("devstack.topology").SERVICES}


@pytest.mark.parametrize("service", ["workshop", "vehicle", "technician", "keyring"])
def test_every_event_ever_released_is_in_the_golden_corpus(service: str) -> None:
    golden = ROOT / "services" / service / "tests"
    kept = {path.name.partition(".")[0] for path in golden.rglob("golden/**/*.bin")}

    import_module(f"{service}.adapters.codec")  # declares them
    topology = import_module("devstack.topology")
    events = {
        case for log in topology.logs() if topology.owner_of(log) == service for case in _cases(log)
    }

    assert events <= kept, events - kept


def _cases(log: str) -> Iterator[str]:
    from google.protobuf.descriptor_pool import Default  # noqa: PLC0415 -- only here

    for case in Default().FindMessageTypeByName(log).oneofs_by_name["event"].fields:
        assert case.message_type is not None
        yield case.message_type.name


def _refusals() -> set[type[DomainError]]:
    """Every class of refusal that our code can raise to a caller."""
    for name in PACKAGES:
        package = import_module(name)
        for module in walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    kinds = set(DomainError.__subclasses__())
    return {
        error
        for kind in kinds
        for error in _below(kind)
        if error.__module__.split(".")[0] in PACKAGES and not error.__subclasses__()
    }


def _below(error: type[DomainError]) -> Iterator[type[DomainError]]:
    for each in error.__subclasses__():
        yield each
        yield from _below(each)


def _kind(error: type[DomainError]) -> type[DomainError]:
    return kind_of(error(""))
