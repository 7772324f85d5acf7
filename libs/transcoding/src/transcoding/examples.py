"""Example documents, built from the examples that the protos give field by field."""

from collections.abc import Collection, Iterable

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from transcoding.descriptors import (
    Json,
    Reflected,
    field_rules,
    is_map,
    is_output_only,
    is_required,
    map_types,
)

WELL_KNOWN: dict[str, Json] = {
    "google.protobuf.Timestamp": "2026-11-24T08:00:00Z",
    "google.protobuf.Duration": "5400s",
    "google.protobuf.FieldMask": "name",
    "google.protobuf.Struct": {},
    "google.protobuf.Value": None,
    "google.protobuf.ListValue": [],
    "google.protobuf.Any": {},
    "google.protobuf.Empty": {},
}
AN_ID = "0190a5d2-7c1e-7b3a-9f00-000000000001"


def given(field: FieldDescriptor) -> Json:
    """What the proto gives, None if it gives nothing. A bare word is taken for a string."""
    text = field_rules(field).example
    if not text:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


class Examples:
    """A text or number without an example borrows one from its namesake in the same package."""

    def __init__(self, messages: Iterable[Descriptor]) -> None:
        self._borrowed: dict[tuple[str, str, int], Json] = {}
        for field in (field for message in messages for field in message.fields):
            example = given(field)
            if example is not None and not field.is_repeated:
                self._borrowed.setdefault(_namesake(field), example)

    def value(self, field: FieldDescriptor, seen: Collection[str] = ()) -> Json:
        """One field as it is answered, in protobuf JSON."""
        example = given(field)
        if is_map(field):
            return example or {"key": self._one(map_types(field)[1], seen)}
        if field.is_repeated:
            return example if isinstance(example, list) else [example or self._one(field, seen)]
        return self._one(field, seen) if example is None else example

    def answered(self, descriptor: Descriptor, seen: Collection[str] = ()) -> Json:
        """A whole message as it is answered; a message within itself is left out."""
        if descriptor.full_name in WELL_KNOWN:
            return WELL_KNOWN[descriptor.full_name]
        seen = {*seen, descriptor.full_name}
        return {
            field.json_name: self.value(field, seen)
            for field in _first_of_oneofs(descriptor.fields)
            if field.message_type is None or field.message_type.full_name not in seen
        }

    def sent(self, fields: Iterable[FieldDescriptor], *, complete: bool) -> dict[str, Json]:
        """The required fields of a request, and if `complete` all that have an example."""
        document = {}
        for field in _first_of_oneofs(fields):
            if is_required(field) or (complete and not is_output_only(field)):
                example = self._sent(field, complete=complete)
                if example is not None:
                    document[field.json_name] = example
        return document

    def _sent(self, field: FieldDescriptor, *, complete: bool) -> Json:
        if given(field) is not None or _is_leaf(field):
            has_one = given(field) is not None or is_required(field)
            return self.value(field) if has_one else None
        nested_type = field.message_type
        nested = self.sent(nested_type.fields, complete=complete) if nested_type else {}
        if not nested and not is_required(field):
            return None
        return [nested] if field.is_repeated else nested

    def _one(self, field: FieldDescriptor, seen: Collection[str]) -> Json:
        if field.message_type is not None:
            return self.answered(field.message_type, seen)
        if collection := field_rules(field).resource:
            return f"{collection}/{AN_ID}"
        borrowed = self._borrowed.get(_namesake(field))
        if field.enum_type is not None:
            values = [value.name for value in field.enum_type.values]
            return borrowed if borrowed in values else values[min(1, len(values) - 1)]
        return _scalar(field) if borrowed is None else borrowed


def _namesake(field: FieldDescriptor) -> tuple[str, str, int]:
    owner: Reflected = field
    return owner.file.package, field.name, field.type


def _is_leaf(field: FieldDescriptor) -> bool:
    """A message that protobuf JSON writes as a value counts as one."""
    return field.message_type is None or is_map(field) or field.message_type.full_name in WELL_KNOWN


def _first_of_oneofs(fields: Iterable[FieldDescriptor]) -> list[FieldDescriptor]:
    return [
        field
        for field in fields
        if field.containing_oneof is None or field.containing_oneof.fields[0].name == field.name
    ]


def _scalar(field: FieldDescriptor) -> Json:
    rules = field_rules(field)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return False
        case FieldDescriptor.CPPTYPE_STRING:
            return _string(field)
        case FieldDescriptor.CPPTYPE_INT64 | FieldDescriptor.CPPTYPE_UINT64:
            return str(max(1, rules.minimum))
        case _:
            return max(1, rules.minimum)


def _string(field: FieldDescriptor) -> str:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "AA=="
    return "7" if field.name == "etag" else field.name.replace("_", " ")
