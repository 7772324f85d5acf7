"""JSON Schema (2020-12, as OpenAPI 3.1 has it) of messages, enums and fields."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from transcoding.descriptors import (
    Json,
    field_rules,
    is_map,
    is_output_only,
    is_required,
    is_wrapper,
    map_types,
    nested_types,
)
from transcoding.examples import given

Type: TypeAlias = Descriptor | EnumDescriptor

INT64 = {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
UINT64 = {"type": "string", "format": "uint64", "pattern": "^[0-9]+$"}
NUMBER = {"type": "number"}
SCALARS: dict[int, dict[str, Json]] = {
    FieldDescriptor.TYPE_DOUBLE: NUMBER | {"format": "double"},
    FieldDescriptor.TYPE_FLOAT: NUMBER | {"format": "float"},
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_SINT64: INT64,
    FieldDescriptor.TYPE_SFIXED64: INT64,
    FieldDescriptor.TYPE_UINT64: UINT64,
    FieldDescriptor.TYPE_FIXED64: UINT64,
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
}
INT32 = {"type": "integer", "format": "int32"}
WELL_KNOWN: dict[str, dict[str, Json]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string"}},
        "additionalProperties": True,
    },
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
}
IDENTITY = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Schemas:
    """Collects the components that a document refers to.

    A message has one schema as it is answered, where every field without presence is there,
    and one as it is sent, where unknown fields are refused. It is called `<Name>Input` where
    clients see both.
    """

    def __init__(
        self,
        comments: Mapping[str, str],
        sent: Mapping[str, Type],
        answered: Mapping[str, Type],
    ) -> None:
        self._comments = comments
        self._answered = answered
        self._names = _names({**answered, **sent}.values())
        self.components: dict[str, dict[str, Json]] = {}

    def answered(self, descriptor: Descriptor) -> dict[str, Json]:
        """The schema of a message as a client gets it."""
        if (known := _well_known(descriptor)) is not None:
            return known
        name = self._names[descriptor.full_name]
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self._object(descriptor, descriptor.fields, sent=False)
        return reference(name)

    def sent(self, descriptor: Descriptor) -> dict[str, Json]:
        """The schema of a message as a client sends it."""
        if (known := _well_known(descriptor)) is not None:
            return known
        suffix = "Input" if descriptor.full_name in self._answered else ""
        name = self._names[descriptor.full_name] + suffix
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = self._object(descriptor, descriptor.fields, sent=True)
        return reference(name)

    def body(
        self, name: str, descriptor: Descriptor, fields: Collection[FieldDescriptor]
    ) -> dict[str, Json]:
        """The schema of a body: a request without what the path and headers carry."""
        self.components[name] = self._object(descriptor, fields, sent=True)
        return reference(name)

    def field(self, field: FieldDescriptor, *, sent: bool) -> dict[str, Json]:
        schema = self._shape(field, sent=sent)
        description = self._description(field)
        if description:
            schema = schema | {"description": description}
        example = given(field)
        if example is not None:
            schema = schema | {"examples": [example]}
        return schema | {"readOnly": True} if is_output_only(field) else schema

    def _object(
        self, descriptor: Descriptor, fields: Iterable[FieldDescriptor], *, sent: bool
    ) -> dict[str, Json]:
        shown = [field for field in fields if not (sent and is_output_only(field))]
        schema: dict[str, Json] = {
            "type": "object",
            "description": self._comments.get(descriptor.full_name, ""),
            "properties": {field.json_name: self.field(field, sent=sent) for field in shown},
        }
        required = [field.json_name for field in shown if _is_always_there(field, sent=sent)]
        if required:
            schema["required"] = required
        return schema | {"additionalProperties": False} if sent else schema

    def _shape(self, field: FieldDescriptor, *, sent: bool) -> dict[str, Json]:
        if is_map(field):
            value = self._one(map_types(field)[1], sent=sent)
            return {"type": "object", "additionalProperties": value}
        one = self._one(field, sent=sent)
        if not field.is_repeated:
            return one
        rules = field_rules(field)
        limits = {"minItems": rules.min_items, "maxItems": rules.max_items}
        return {"type": "array", "items": one} | _set(limits)

    def _one(self, field: FieldDescriptor, *, sent: bool) -> dict[str, Json]:
        if field.message_type is not None:
            return self.sent(field.message_type) if sent else self.answered(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return SCALARS.get(field.type, _integer(field)) | _constraints(field)

    def _enum(self, enum: EnumDescriptor) -> dict[str, Json]:
        name = self._names[enum.full_name]
        if name not in self.components:
            self.components[name] = {
                "type": "string",
                "description": self._enum_description(enum),
                "enum": [value.name for value in enum.values],
            }
        return reference(name)

    def _enum_description(self, enum: EnumDescriptor) -> str:
        about = {
            value.name: self._comments.get(f"{enum.full_name}.{value.name}", "")
            for value in enum.values
        }
        values = [f"- `{name}`: {said}" if said else f"- `{name}`" for name, said in about.items()]
        return "\n".join([self._comments.get(enum.full_name, ""), "", *values]).strip()

    def _description(self, field: FieldDescriptor) -> str:
        said = self._comments.get(field.full_name, "")
        limits = _limits_in_words(field)
        return f"{said} {limits}".strip()


def reference(name: str) -> dict[str, Json]:
    return {"$ref": f"#/components/schemas/{name}"}


def _well_known(descriptor: Descriptor) -> dict[str, Json] | None:
    if is_wrapper(descriptor):
        scalar = SCALARS.get(descriptor.fields_by_name["value"].type, INT32)
        return scalar | {"type": [scalar["type"], "null"]}
    return WELL_KNOWN.get(descriptor.full_name)


def _is_always_there(field: FieldDescriptor, *, sent: bool) -> bool:
    return is_required(field) or not (sent or field.has_presence)


def reachable(roots: Iterable[Descriptor]) -> dict[str, Type]:
    """Messages and enums that a client meets, starting from the roots."""
    found: dict[str, Type] = {}
    waiting: list[Type] = list(roots)
    while waiting:
        each = waiting.pop()
        if each.full_name not in found:
            found[each.full_name] = each
            if isinstance(each, Descriptor) and _well_known(each) is None:
                waiting.extend(nested_types(each))
    return found


def _names(types: Iterable[Type]) -> dict[str, str]:
    """Short names, or full ones where two packages share a short one."""
    by_full_name = {each.full_name: _public_name(each) for each in types}
    shared = Counter(by_full_name.values())
    return {
        full_name: short if shared[short] == 1 else full_name
        for full_name, short in by_full_name.items()
    }


def _public_name(each: Type) -> str:
    """`JobLine` for a message `Line` within `Job`."""
    return each.full_name.removeprefix(f"{each.file.package}.").replace(".", "")


def _integer(field: FieldDescriptor) -> dict[str, Json]:
    unsigned = field.cpp_type == FieldDescriptor.CPPTYPE_UINT32
    return INT32 | {"format": "uint32", "minimum": 0} if unsigned else INT32


def _constraints(field: FieldDescriptor) -> dict[str, Json]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text_constraints(field)
    if field.type in SCALARS and field.cpp_type not in _FLOATS:
        return {}
    rules = field_rules(field)
    names = [name for name in ("minimum", "maximum") if rules.HasField(name)]
    return {name: getattr(rules, name) for name in names}


_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def _text_constraints(field: FieldDescriptor) -> dict[str, Json]:
    """An empty text says nothing: only a required field, or an element, may not be one."""
    rules = field_rules(field)
    strict = is_required(field) or field.is_repeated or field.has_presence
    pattern = f"{rules.resource}/{IDENTITY}" if rules.resource else rules.pattern
    limits = {"minLength": rules.min_length if strict else 0, "maxLength": rules.max_length}
    if pattern:
        return {**_set(limits), "pattern": f"^(?:{pattern}){'' if strict else '?'}$"}
    if rules.min_length:
        return {**_set(limits), "pattern": r"\S" if strict else r"^$|\S"}
    return dict(_set(limits))


def _limits_in_words(field: FieldDescriptor) -> str:
    """A 64-bit integer or a duration is a string in JSON, which JSON Schema cannot limit by value."""
    duration = _is_duration(field)
    if not (duration or field.type in SCALARS):
        return ""
    rules, unit = field_rules(field), "s" if duration else ""
    match rules.HasField("minimum"), rules.HasField("maximum"):
        case True, True:
            return f"From {rules.minimum}{unit} to {rules.maximum}{unit}."
        case True, False:
            return f"At least {rules.minimum}{unit}."
        case False, True:
            return f"At most {rules.maximum}{unit}."
        case _:
            return ""


def _is_duration(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and kind.full_name == "google.protobuf.Duration"


def _set(limits: Mapping[str, int]) -> dict[str, int]:
    return {name: limit for name, limit in limits.items() if limit}
