"""From a JSON document to a message, compiled once per message type; tells every violation."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kernel.errors import Violation
from transcoding import wellknown
from transcoding.descriptors import (
    Json,
    Reflected,
    field_rules,
    is_map,
    is_wrapper,
    map_types,
)
from transcoding.scalars import Convert, Mismatch, converter, kind

MOST_TOLD = 100
"""Violations of one document, more or less: enough to work with, too few to be an attack."""

LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a key of a document goes. No two keys of one document may share a `place`."""

    place: str
    takes_null: bool
    fill: wellknown.Fill


@cache
def parser_of(descriptor: Descriptor) -> wellknown.Fill:
    known = wellknown.PARSERS.get(descriptor.full_name)
    if known is not None:
        return known
    if is_wrapper(descriptor):
        return _scalar_filler(descriptor.fields_by_name["value"])
    return _message_parser(descriptor)


def _message_parser(descriptor: Descriptor) -> wellknown.Fill:
    slots = {name: slot for field in descriptor.fields for name, slot in _named_slots(field)}
    names = [field.json_name for field in descriptor.fields]

    def parse(document: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
        if problem := wellknown.not_an_object(document, path):
            violations.append(Violation(path, problem))
            return
        taken: dict[str, str] = {}
        for key, value in document.items():
            slot = slots.get(key)
            if slot is None:
                _refuse_unknown(key, names, path, violations)
            elif value is not None or slot.takes_null:
                _refuse_second(key, taken.setdefault(slot.place, key), path, violations)
                slot.fill(value, message, f"{path}/{key}", violations)
            if len(violations) >= MOST_TOLD:
                return

    return parse


def _refuse_unknown(key: str, names: list[str], path: str, violations: list[Violation]) -> None:
    violations.append(Violation(f"{path}/{wellknown.escaped(key)}", unknown(key, names)))


def _refuse_second(key: str, first: str, path: str, violations: list[Violation]) -> None:
    if first != key:
        detail = f"excludes {first}: only one of them may be set"
        violations.append(Violation(f"{path}/{key}", detail))


def unknown(name: str, known: list[str], what: str = "field") -> str:
    """Says that there is no `name`, and which known one is nearest."""
    by_lower = {each.lower(): each for each in known}
    plain = name[:LONGEST_SHOWN].lower().replace("_", "").replace("-", "")
    near = get_close_matches(plain, by_lower, n=1, cutoff=0.7)
    if near:
        return f"unknown {what} {shown(name)}; did you mean {by_lower[near[0]]}"
    return f"unknown {what} {shown(name)}; known are {', '.join(known) or 'none'}"


def shown(name: str) -> str:
    return f'"{name[:LONGEST_SHOWN]}"'


def _named_slots(field: FieldDescriptor) -> list[tuple[str, Slot]]:
    """Under its JSON name and its proto name, as the mapping asks of parsers."""
    oneof = field.containing_oneof
    place = field.name if oneof is None else f"oneof {oneof.name}"
    slot = Slot(place, not field.is_repeated and _takes_null(field), _filler(field))
    return [(field.json_name, slot), (field.name, slot)]


def _takes_null(field: FieldDescriptor) -> bool:
    if field.message_type is not None:
        return field.message_type.full_name == "google.protobuf.Value"
    return field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue"


def _filler(field: FieldDescriptor) -> wellknown.Fill:
    if is_map(field):
        return _map_filler(field)
    if field.is_repeated:
        return _list_filler(field)
    if field.message_type is not None:
        return _message_filler(field)
    return _scalar_filler(field)


def _scalar_filler(field: FieldDescriptor) -> wellknown.Fill:
    name, convert = field.name, converter(field)

    def fill(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
        try:
            setattr(message, name, convert(value))
        except Mismatch as mismatch:
            violations.append(Violation(path, str(mismatch)))

    return fill


def _message_filler(field: FieldDescriptor) -> wellknown.Fill:
    name, message_type = field.name, field.message_type

    def fill(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
        nested = getattr(message, name)
        nested.SetInParent()
        parser_of(message_type)(value, nested, path, violations)

    return fill


def _list_filler(field: FieldDescriptor) -> wellknown.Fill:
    name, append, takes_null = field.name, _appender(field), _takes_null(field)
    most = field_rules(field).max_items or None

    def fill(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
        if not isinstance(value, list):
            violations.append(Violation(path, f"expected an array, got {kind(value)}"))
            return
        if most and len(value) > most:
            violations.append(Violation(path, f"has more than {most} elements"))
        elements = getattr(message, name)
        for index, item in enumerate(value[:most]):
            if len(violations) >= MOST_TOLD:
                return
            if item is None and not takes_null:
                violations.append(Violation(f"{path}/{index}", "an element may not be null"))
            else:
                append(item, elements, f"{path}/{index}", violations)

    return fill


def _appender(field: FieldDescriptor) -> wellknown.Fill:
    if field.message_type is not None:
        message_type = field.message_type
        return lambda item, elements, path, violations: parser_of(message_type)(
            item, elements.add(), path, violations
        )
    convert = converter(field)

    def append(item: Json, elements: Reflected, path: str, violations: list[Violation]) -> None:
        try:
            elements.append(convert(item))
        except Mismatch as mismatch:
            violations.append(Violation(path, str(mismatch)))

    return append


def _map_filler(field: FieldDescriptor) -> wellknown.Fill:
    key_type, value_type = map_types(field)
    key_of, put, name = _key_converter(key_type), _putter(value_type), field.name

    def fill(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
        if not isinstance(value, dict):
            violations.append(Violation(path, f"expected an object, got {kind(value)}"))
            return
        entries = getattr(message, name)
        for key, item in value.items():
            if len(violations) >= MOST_TOLD:
                return
            place = f"{path}/{wellknown.escaped(key)}"
            try:
                put(item, (entries, key_of(key)), place, violations)
            except Mismatch as mismatch:
                violations.append(Violation(place, f"as a key: {mismatch}"))

    return fill


def _key_converter(field: FieldDescriptor) -> Convert:
    if field.type != FieldDescriptor.TYPE_BOOL:
        return converter(field)

    def convert(key: str) -> bool:
        if key not in {"true", "false"}:
            raise Mismatch("expected true or false")
        return key == "true"

    return convert


def _putter(field: FieldDescriptor) -> wellknown.Fill:
    if field.message_type is not None:
        message_type = field.message_type
        return lambda item, entry, path, violations: parser_of(message_type)(
            item, entry[0][entry[1]], path, violations
        )
    convert = converter(field)

    def put(item: Json, entry: Reflected, path: str, violations: list[Violation]) -> None:
        try:
            entry[0][entry[1]] = convert(item)
        except Mismatch as mismatch:
            violations.append(Violation(path, str(mismatch)))

    return put
