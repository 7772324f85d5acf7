"""The examples of the API are of a real workshop: every field has one, and it fits."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.api import annotations_pb2, httpbody_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from bayline.gateway.v1 import gateway_service_pb2
from bayline.keyring.v1 import keyring_service_pb2
from bayline.technician.v1 import technician_service_pb2
from bayline.vehicle.v1 import vehicle_pb2, vehicle_service_pb2
from bayline.workshop.v1 import workshop_service_pb2
from transcoding.descriptors import field_rules
from transcoding.encoding import encoder_of
from transcoding.examples import WELL_KNOWN, Examples, given
from vehicle.domain.values import has_valid_check_digit, parse_vin

CONTRACTS = (
    gateway_service_pb2,
    keyring_service_pb2,
    technician_service_pb2,
    vehicle_service_pb2,
    workshop_service_pb2,
)
ANSWERS: dict[str, Descriptor] = {
    method.output_type.full_name: method.output_type
    for contract in CONTRACTS
    for service in contract.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if method.GetOptions().HasExtension(annotations_pb2.http)
    and method.output_type is not httpbody_pb2.HttpBody.DESCRIPTOR
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_field_of_an_answer_has_an_example(name: str) -> None:
    without = [field.full_name for field in _without(ANSWERS[name])]

    assert without == []


@pytest.mark.parametrize("name", ANSWERS)
def test_the_example_of_an_answer_is_one(name: str) -> None:
    example = _example(ANSWERS[name])

    answer = ParseDict(example, GetMessageClass(ANSWERS[name])())

    assert encoder_of(ANSWERS[name])(answer) == example


def test_the_vehicle_of_the_examples_can_exist() -> None:
    vin = parse_vin(_example(vehicle_pb2.Vehicle.DESCRIPTOR)["vin"])

    assert vin
    assert has_valid_check_digit(vin)


def _example(descriptor: Descriptor) -> Any:
    return Examples([]).answered(descriptor)


def _without(descriptor: Descriptor, above: tuple[str, ...] = ()) -> Iterator[FieldDescriptor]:
    """Fields whose example would have to be made up."""
    if descriptor.full_name in {*WELL_KNOWN, *above}:
        return
    for field in descriptor.fields:
        if given(field) is not None or field_rules(field).resource:
            continue
        if field.message_type is None:
            yield field
        else:
            yield from _without(field.message_type, (*above, descriptor.full_name))
