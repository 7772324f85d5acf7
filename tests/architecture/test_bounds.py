"""Whatever a caller can send has bounds, and the domain has the same: the decider relies on no wire."""

import re
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from bayline.type.v1 import values_pb2
from bayline.workshop.v1 import job_pb2, site_pb2
from bayline.workshop.v1 import workshop_service_pb2 as workshop
from devstack.tokens import ROLES as LOGIN_ROLES
from runtime.validation import NUMBERS
from tests.architecture.test_contract import SERVICES
from transcoding.contract import bindings, required_numbers
from transcoding.descriptors import field_rules, is_output_only
from workshop.domain import bounds
from workshop.domain.values import ROLES

ENDLESS = re.compile(r"[+*]|\{[0-9]+,\}")
SECOND = timedelta(seconds=1)


def sent() -> dict[str, FieldDescriptor]:
    """Every field that a request can reach, by its full name."""
    found: dict[str, FieldDescriptor] = {}
    waiting = [method.input_type for service in SERVICES for method in service.methods]
    while waiting:
        for field in _filled_by_callers(waiting.pop()):
            if field.full_name not in found:
                found[field.full_name] = field
                waiting.extend(_inner(field))
    return found


def _filled_by_callers(message: Descriptor) -> Iterator[FieldDescriptor]:
    return (field for field in message.fields if not is_output_only(field))


def _inner(field: FieldDescriptor) -> list[Descriptor]:
    kind = field.message_type
    return [] if kind is None or kind.file.package == "google.protobuf" else [kind]


def unbounded(field: FieldDescriptor) -> list[str]:
    """What is missing."""
    rules, missing = field_rules(field), []
    if _is_counted(field):
        missing += [name for name in ("minimum", "maximum") if not rules.HasField(name)]
    if field.is_repeated and not rules.max_items:
        missing.append("max_items")
    if field.type == FieldDescriptor.TYPE_STRING and not rules.max_length:
        ends = rules.resource or (rules.pattern and not ENDLESS.search(rules.pattern))
        missing += [] if ends else ["max_length"]
    if field.type == FieldDescriptor.TYPE_BYTES:
        missing.append("a type with a bound: bytes have none")
    return missing


def _is_counted(field: FieldDescriptor) -> bool:
    kind = field.message_type
    is_duration = kind is not None and kind.full_name == "google.protobuf.Duration"
    return is_duration or field.cpp_type in NUMBERS


@pytest.mark.parametrize("name", sorted(sent()))
def test_what_a_caller_can_send_has_bounds(name: str) -> None:
    assert unbounded(sent()[name]) == []


def test_a_field_without_bounds_would_be_found() -> None:
    reached, metres = sent(), values_pb2.Distance.DESCRIPTOR.fields_by_name["metres"]

    assert unbounded(metres) == ["minimum", "maximum"]
    assert unbounded(job_pb2.Job.DESCRIPTOR.fields_by_name["lines"]) == ["max_items"]
    assert unbounded(job_pb2.Job.DESCRIPTOR.fields_by_name["number"]) == ["max_length"]
    assert "bayline.workshop.v1.PartNeed.quantity_milli" in reached
    assert "bayline.workshop.v1.Job.number" not in reached


@pytest.mark.parametrize(
    ("message", "field", "least", "most"),
    [
        (job_pb2.LineEstimate, "labour", 0, bounds.MOST_LABOUR // SECOND),
        (job_pb2.LineEstimate, "fees_minor", 0, bounds.MOST_AMOUNT_MINOR),
        (job_pb2.PartNeed, "quantity_milli", 1, bounds.MOST_QUANTITY_MILLI),
        (job_pb2.PartNeed, "unit_price_minor", 0, bounds.MOST_AMOUNT_MINOR),
        (site_pb2.TaxRates, "labour_ppm", 0, bounds.MOST_TAX_PPM),
        (site_pb2.TaxRates, "parts_ppm", 0, bounds.MOST_TAX_PPM),
        (site_pb2.TaxRates, "fees_ppm", 0, bounds.MOST_TAX_PPM),
        (site_pb2.ApprovalLimit, "limit_minor", -1, bounds.MOST_AMOUNT_MINOR),
        (workshop.SetLabourRateRequest, "labour_rate_minor", 0, bounds.MOST_RATE_MINOR),
        (workshop.OpenSiteRequest, "labour_rate_minor", 0, bounds.MOST_RATE_MINOR),
        (
            workshop.SetApprovalThresholdRequest,
            "approval_threshold_minor",
            0,
            bounds.MOST_AMOUNT_MINOR,
        ),
    ],
)
def test_the_domain_has_the_bounds_of_the_contract(
    message: type, field: str, least: int, most: int
) -> None:
    rules = field_rules(message.DESCRIPTOR.fields_by_name[field])  # type: ignore[attr-defined]  # a message

    assert (rules.minimum, rules.maximum) == (least, most)


def test_the_roles_that_a_limit_can_have_are_those_that_policies_speak_of() -> None:
    spoken = {
        role
        for service in SERVICES
        for role in _roles(f"{service.file.package.replace('.', '/')}/policies.cedar")
    }

    assert spoken == ROLES == set(LOGIN_ROLES)


def _roles(path: str) -> set[str]:
    text = files("bayline").joinpath(path.removeprefix("bayline/")).read_text()
    lists = re.findall(r"roles\.contains(?:Any)?\(([^)]*)\)", text)
    return {role for each in lists for role in re.findall(r'"([a-z_]+)"', each)}


@pytest.mark.parametrize("verb", ["OpenSite", "SetLabourRate"])
def test_the_price_of_labour_is_never_0_because_it_was_left_out(verb: str) -> None:
    service = workshop.DESCRIPTOR.services_by_name["WorkshopService"]
    [binding] = (each for each in bindings([service]) if each.method.name == verb)

    assert [each.name for each in required_numbers(binding)] == ["labour_rate_minor"]
