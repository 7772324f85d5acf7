"""Questions to descriptors: maps, wrappers, rules, behaviours, public names."""

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

from bayline.api.v1 import annotations_pb2

Json: TypeAlias = Any
"""What `orjson` reads and writes."""

Reflected: TypeAlias = Any
"""A message, or a container of one, whose fields are known by descriptor only."""


def is_wrapper(descriptor: Descriptor) -> bool:
    return descriptor.file.name == "google/protobuf/wrappers.proto"


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def map_types(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    entry: Reflected = field.message_type
    return entry.fields_by_name["key"], entry.fields_by_name["value"]


@cache
def method_rules(method: MethodDescriptor) -> Reflected:
    return method.GetOptions().Extensions[annotations_pb2.method]


@cache
def field_rules(field: FieldDescriptor) -> Reflected:
    return field.GetOptions().Extensions[annotations_pb2.rules]


def is_required(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.REQUIRED in _behaviours(field)


def is_output_only(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.OUTPUT_ONLY in _behaviours(field)


def _behaviours(field: FieldDescriptor) -> Reflected:
    return field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def nested_types(descriptor: Descriptor) -> Iterator[Descriptor | EnumDescriptor]:
    """Messages and enums of the fields, looking through maps."""
    for field in descriptor.fields:
        each = map_types(field)[1] if is_map(field) else field
        if each.message_type is not None:
            yield each.message_type
        elif each.enum_type is not None:
            yield each.enum_type


def camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def singular(collection: str) -> str:
    for plural, single in (("ies", "y"), ("sses", "ss"), ("s", "")):
        if collection.endswith(plural):
            return collection.removesuffix(plural) + single
    return collection
