"""Field rules of the contracts, compiled once per message class, checked all at once."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from bayline.api.v1 import annotations_pb2
from kernel.errors import InvalidArgument, Violation

Check: TypeAlias = Callable[[Any], str]  # what is wrong with a value; empty if nothing
FieldCheck: TypeAlias = Callable[[Message, str], Iterator[Violation]]

NUMBERS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_FLOAT,
        FieldDescriptor.CPPTYPE_DOUBLE,
    }
)


LARGEST_SECONDS = {
    "google.protobuf.Timestamp": (-62_104_060_800, 253_370_764_799),
    "google.protobuf.Duration": (-315_576_000_000, 315_576_000_000),
}
BOUNDS = {
    "google.protobuf.Timestamp": "is not in the years 2 to 9998",  # in any zone it has a date
    "google.protobuf.Duration": "is out of range",
}
MOST_TOLD = 40  # violations in one answer: a client's gRPC takes 8 KiB of metadata


class RequestInvalid(InvalidArgument):
    pass


def check(request: Message) -> None:
    """Raises one `RequestInvalid` with every wrong field, as JSON pointers in lowerCamelCase."""
    found = violations(request)
    if found:
        fields = "a field is" if len(found) == 1 else f"{len(found)} fields are"
        raise RequestInvalid(f"{fields} wrong in the request", violations=found[:MOST_TOLD])


def violations(message: Message, pointer: str = "") -> list[Violation]:
    checks = _compiled(message.DESCRIPTOR)
    return [violation for field in checks for violation in field(message, pointer)]


@cache
def _compiled(descriptor: Descriptor) -> Sequence[FieldCheck]:
    """Only fields that something can be wrong with; what the server alone fills is not looked at."""
    if descriptor.full_name in LARGEST_SECONDS:
        return [_moment(descriptor.full_name)]
    checks = (_field(field) for field in descriptor.fields)
    return [check for check in checks if check is not None]


def _field(field: FieldDescriptor) -> FieldCheck | None:
    options = field.GetOptions()
    behaviours = options.Extensions[field_behavior_pb2.field_behavior]
    if field_behavior_pb2.OUTPUT_ONLY in behaviours:
        return None
    rules = options.Extensions[annotations_pb2.rules]
    required = field_behavior_pb2.REQUIRED in behaviours
    if field.is_repeated:
        return _repeated(field, rules, required=required)
    return _single(field, rules, required=required)


def _single(
    field: FieldDescriptor, rules: annotations_pb2.FieldRules, *, required: bool
) -> FieldCheck | None:
    name, here = field.name, f"/{field.json_name}"
    is_set = _presence(field)
    checks = _checks(field, rules)
    nested = field.message_type is not None
    if not (required or checks or nested):
        return None

    def check_field(message: Message, pointer: str) -> Iterator[Violation]:
        if not is_set(message):
            if required:
                yield Violation(pointer + here, "is required")
            return
        value = getattr(message, name)
        yield from _wrong(checks, value, pointer + here)
        if nested:
            yield from violations(value, pointer + here)

    return check_field


def _repeated(
    field: FieldDescriptor, rules: annotations_pb2.FieldRules, *, required: bool
) -> FieldCheck | None:
    name, here = field.name, f"/{field.json_name}"
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map(field) if field.message_type.fields_by_name["value"].message_type else None
    checks, size = (
        _checks(field, rules),
        _size_check(rules, "elements", rules.min_items, rules.max_items),
    )
    nested = field.message_type is not None

    def check_field(message: Message, pointer: str) -> Iterator[Violation]:
        values = getattr(message, name)
        if not values and required:
            yield Violation(pointer + here, "is required")
        elif values and (wrong := size(values)):
            yield Violation(pointer + here, wrong)
        for index, value in enumerate(values):
            yield from _wrong(checks, value, f"{pointer}{here}/{index}")
            if nested:
                yield from violations(value, f"{pointer}{here}/{index}")

    return check_field


def _map(field: FieldDescriptor) -> FieldCheck:
    name, here = field.name, f"/{field.json_name}"

    def check_field(message: Message, pointer: str) -> Iterator[Violation]:
        for key, value in getattr(message, name).items():
            escaped = str(key).replace("~", "~0").replace("/", "~1")
            yield from violations(value, f"{pointer}{here}/{escaped}")

    return check_field


def _moment(name: str) -> FieldCheck:
    """A time or a span that no calendar has would fail later, as a bug."""
    least, greatest = LARGEST_SECONDS[name]

    def check_moment(message: Any, pointer: str) -> Iterator[Violation]:
        if not (least <= message.seconds <= greatest and abs(message.nanos) < 1_000_000_000):
            yield Violation(pointer, BOUNDS[name])

    return check_moment


def _wrong(checks: Sequence[Check], value: object, pointer: str) -> Iterator[Violation]:
    for wrong in filter(None, (check(value) for check in checks)):
        yield Violation(pointer, wrong)


def _presence(field: FieldDescriptor) -> Callable[[Message], bool]:
    """An empty text, or the zero of an enum, says nothing; the number 0 and `false` say much."""
    name = field.name
    if field.has_presence:
        return lambda message: message.HasField(name)
    if field.cpp_type in NUMBERS or field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda message: True
    return lambda message: bool(getattr(message, name))


def _checks(field: FieldDescriptor, rules: annotations_pb2.FieldRules) -> list[Check]:
    checks: list[Check] = []
    if field.type == FieldDescriptor.TYPE_STRING:
        checks.append(_storable)
    if rules.min_length or rules.max_length:
        checks.append(_size_check(rules, "characters", rules.min_length, rules.max_length))
    if rules.min_length and not rules.pattern:
        checks.append(_said)
    if rules.pattern:
        checks.append(_pattern_check(rules.pattern))
    if rules.HasField("minimum") or rules.HasField("maximum"):
        checks.append(_duration_check(rules) if _is_duration(field) else _range_check(rules))
    if rules.resource:
        checks.append(_resource_check(rules.resource))
    if field.enum_type is not None:
        checks.append(_enum_check(field))
    return checks


def _storable(value: str) -> str:
    """PostgreSQL has no text with it."""
    return "contains the character U+0000" if "\0" in value else ""


def _said(value: str) -> str:
    """Who must say something does not say it by blanks."""
    return "is blank" if value and not value.strip() else ""


def _size_check(rules: annotations_pb2.FieldRules, what: str, fewest: int, most: int) -> Check:
    def check_size(value: Sequence[object]) -> str:
        if len(value) < fewest:
            return f"has fewer than {fewest} {what}"
        return f"has more than {most} {what}" if most and len(value) > most else ""

    return check_size


def _pattern_check(pattern: str) -> Check:
    matches = re.compile(pattern, re.ASCII).fullmatch
    return lambda value: "" if matches(value) else f"does not match {pattern}"


def _is_duration(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and kind.full_name == "google.protobuf.Duration"


def _duration_check(rules: annotations_pb2.FieldRules) -> Check:
    """The limits are whole seconds, and a duration is exact to the nanosecond."""

    def check_duration(value: Any) -> str:
        if rules.HasField("minimum") and (value.seconds, value.nanos) < (rules.minimum, 0):
            return f"is less than {rules.minimum} seconds"
        if rules.HasField("maximum") and (value.seconds, value.nanos) > (rules.maximum, 0):
            return f"is greater than {rules.maximum} seconds"
        return ""

    return check_duration


def _range_check(rules: annotations_pb2.FieldRules) -> Check:
    least = rules.minimum if rules.HasField("minimum") else float("-inf")
    greatest = rules.maximum if rules.HasField("maximum") else float("inf")

    def check_range(value: float) -> str:
        if value < least:
            return f"is less than {least}"
        if value > greatest:
            return f"is greater than {greatest}"
        return "" if value == value else "is not a number"  # noqa: PLR0124 -- NaN differs from itself

    return check_range


def _resource_check(collection: str) -> Check:
    prefix = f"{collection}/"

    def check_resource(value: str) -> str:
        identity = value.removeprefix(prefix)
        if identity != value and _is_uuid(identity):
            return ""
        return f"is not a name like {prefix}0190e6a0-7c3f-7d2e-8b4a-3f5c9d1e2a6b"

    return check_resource


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _enum_check(field: FieldDescriptor) -> Check:
    assert field.enum_type is not None
    numbers = field.enum_type.values_by_number
    return lambda value: "" if value in numbers else "is not a known value"
