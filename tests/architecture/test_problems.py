"""Every refusal that a command can meet is declared at its RPC."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from inspect import isclass, isfunction
from types import CodeType
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from bayline.audit.v1 import audit_service_pb2
from bayline.technician.v1 import technician_service_pb2
from bayline.vehicle.v1 import vehicle_service_pb2
from bayline.workshop.v1 import workshop_service_pb2
from kernel.errors import DomainError
from transcoding.descriptors import method_rules
from workshop.application.job_facts import READS
from workshop.domain.job import intake
from workshop.domain.job.claims import taken
from workshop.domain.job.commands import FlagJob, JobCommand, RequestJob
from workshop.domain.job.decider import DECISIONS

WORKSHOP = workshop_service_pb2.DESCRIPTOR.services_by_name["WorkshopService"]
SERVICES: Mapping[str, ServiceDescriptor] = {
    "workshop": WORKSHOP,
    "vehicle": vehicle_service_pb2.DESCRIPTOR.services_by_name["VehicleService"],
    "technician": technician_service_pb2.DESCRIPTOR.services_by_name["TechnicianService"],
    "audit": audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
}
BY_PEOPLE = {each: decision for each, decision in DECISIONS.items() if each is not FlagJob}
BEFORE_THE_DECISION = {"JOB_NOT_FOUND", "JOB_STATE_FORBIDS"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_refusal_of_a_service_is_declared_by_one_of_its_rpcs(name: str) -> None:
    errors = import_module(f"{name}.domain.errors")
    refusals = {
        each.reason
        for each in vars(errors).values()
        if getattr(each, "__module__", "") == errors.__name__
    }

    declared = {problem for method in SERVICES[name].methods for problem in _declared(method)}

    assert refusals <= declared, refusals - declared


@pytest.mark.parametrize("command", BY_PEOPLE, ids=lambda command: command.__name__)
def test_a_command_on_a_job_declares_what_it_can_be_refused_for(command: type[JobCommand]) -> None:
    declared = _declared(WORKSHOP.methods_by_name[command.__name__])

    refused = _refused(command, BY_PEOPLE[command])

    assert declared - set(_reached(taken)) == refused | BEFORE_THE_DECISION


def test_a_request_declares_what_it_can_be_refused_for() -> None:
    declared = _declared(WORKSHOP.methods_by_name["RequestJob"])

    assert declared - set(_reached(taken)) == _refused(RequestJob, intake.request)


def _declared(method: MethodDescriptor) -> set[str]:
    return set(method_rules(method).problems)


def _refused(command: type[JobCommand], decision: Callable[..., Any]) -> set[str]:
    reads = READS.get(command)
    return {*_reached(decision), *(_reached(reads) if reads else ())}


def _reached(function: Callable[..., Any]) -> Iterator[str]:
    """Reasons of the refusals that the function names, or any that it calls."""
    known = [function]
    for each in known:
        for found in _named(each):
            if isclass(found) and issubclass(found, DomainError):
                yield found.reason
            elif isfunction(found) and found not in known:
                known.append(found)


def _named(function: Any) -> Iterator[object]:
    """What the names in its code stand for: in its module, and in the class it belongs to."""
    scope = dict(function.__globals__)
    owner = scope.get(function.__qualname__.partition(".")[0])
    scope |= vars(owner) if isclass(owner) else {}
    return (scope.get(name) for name in _names(function.__code__))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)
