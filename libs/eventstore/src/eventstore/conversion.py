"""How one value of a dataclass becomes one of a message, and back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from bayline.api.v1 import annotations_pb2
from bayline.event.v1.metadata_pb2 import Sensitive
from eventstore.chain import EPOCH, MICROSECOND
from eventstore.sensitive import SENSITIVE
from kernel.errors import InvalidArgument, Violation
from kernel.personal import ERASED, Personal, Sealed


class MappingMismatch(TypeError):
    """A dataclass and its message have grown apart: the service does not start."""


class Unmappable(InvalidArgument):
    """A message holds a value that its dataclass cannot have; the violations point at it.

    `newer` where it is an enum's, and the enum did not have it when this release was made.
    """

    newer = False


class UnknownValue(ValueError):
    """Of an enum."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a value is read with: whose words these are, or where they were sealed."""

    subject: str = ""
    version: int = 0
    places: Mapping[bytes, str] | None = None  # of sealed words, by nonce


Hint: TypeAlias = Any  # the type of a dataclass's field, as it is written
Value: TypeAlias = Any
Write: TypeAlias = Callable[[Value], Value]
Read: TypeAlias = Callable[[Value, Context], Value]


@dataclass(frozen=True, slots=True)
class Conversion:
    write: Write
    read: Read


def pointing(pointer: str, error: Exception) -> Unmappable:
    """The same refusal, seen from one level further out."""
    inner = error.violations if isinstance(error, Unmappable) else (Violation("", str(error)),)
    found = Unmappable(
        "a field has a value that it cannot have",
        violations=[Violation(pointer + each.pointer, each.detail) for each in inner],
    )
    found.newer = isinstance(error, UnknownValue) or getattr(error, "newer", False)
    return found


def no_way(hint: Hint, field: FieldDescriptor) -> MappingMismatch:
    return MappingMismatch(f"{field.full_name} cannot hold a {getattr(hint, '__name__', hint)}")


def resource_of(field: FieldDescriptor) -> str:
    """The collection whose names the field holds (`jobs`), or nothing."""
    return field.GetOptions().Extensions[annotations_pb2.rules].resource


# Times


def timestamp_of(at: datetime) -> Timestamp:
    seconds, micros = divmod((at - EPOCH) // MICROSECOND, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def datetime_of(at: Timestamp) -> datetime:
    return EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanos // 1000)


def _duration_of(span: timedelta) -> Duration:
    duration = Duration()
    duration.FromTimedelta(span)
    return duration


DURATION = Duration.DESCRIPTOR.full_name
TIMES: Mapping[tuple[Hint, str], Conversion] = {
    (datetime, Timestamp.DESCRIPTOR.full_name): Conversion(
        timestamp_of, lambda at, _: datetime_of(at)
    ),
    (timedelta, DURATION): Conversion(_duration_of, lambda span, _: span.ToTimedelta()),
}


# Texts, numbers, ids


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("is not a decimal number") from error


TEXTS: Mapping[Hint, Callable[[str], Value]] = {
    UUID: UUID,
    Decimal: _decimal,
    date: date.fromisoformat,
}
SAME: Mapping[Hint, frozenset[int]] = {
    str: frozenset({FieldDescriptor.TYPE_STRING}),
    bytes: frozenset({FieldDescriptor.TYPE_BYTES}),
    bool: frozenset({FieldDescriptor.TYPE_BOOL}),
    float: frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}),
    int: frozenset(
        {
            FieldDescriptor.TYPE_INT32,
            FieldDescriptor.TYPE_INT64,
            FieldDescriptor.TYPE_UINT32,
            FieldDescriptor.TYPE_UINT64,
        }
    ),
}


def scalar(hint: Hint, field: FieldDescriptor) -> Conversion:
    if resource := resource_of(field):
        return _name(hint, resource, field)
    if hint in TEXTS and field.type == FieldDescriptor.TYPE_STRING:
        parse = TEXTS[hint]
        return Conversion(str, lambda text, _: parse(text))
    if field.type not in SAME.get(hint, ()):
        raise no_way(hint, field)
    return Conversion(lambda value: value, lambda value, _: value)


def _name(hint: Hint, resource: str, field: FieldDescriptor) -> Conversion:
    """A bare id inside, `<resource>/<id>` on the wire."""
    if hint not in {str, UUID}:
        raise no_way(hint, field)
    prefix, start = f"{resource}/", len(resource) + 1

    def read(name: str, _: Context) -> Value:
        if not name.startswith(prefix) or len(name) == start:
            raise ValueError(f"is not a name of the form {prefix}<id>")
        return hint(name[start:])

    return Conversion(lambda bare: f"{prefix}{bare}", read)


# Enums


def enum(hint: Hint, kind: EnumDescriptor, field: FieldDescriptor) -> Conversion:
    if not (isinstance(hint, type) and issubclass(hint, StrEnum)):
        raise no_way(hint, field)
    numbers = _numbers(kind)
    if numbers.keys() != hint.__members__.keys():
        differing = sorted(numbers.keys() ^ hint.__members__.keys())
        raise MappingMismatch(f"{hint.__qualname__} and {kind.full_name} differ in {differing}")
    members = {numbers[member.name]: member for member in hint}

    def read(number: int, _: Context) -> StrEnum:
        if number in members:
            return members[number]
        if number == 0:
            raise ValueError("is required")
        raise UnknownValue(f"has the unknown value {number}")

    return Conversion(lambda member: numbers[member.name], read)


def _numbers(kind: EnumDescriptor) -> Mapping[str, int]:
    """By name without the prefix, which is what stands before UNSPECIFIED."""
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {each.name.removeprefix(prefix): each.number for each in kind.values if each.number}


# Personal words


def personal(field: FieldDescriptor) -> Conversion:
    if field.type == FieldDescriptor.TYPE_STRING:
        return Conversion(_shown, lambda text, context: Personal(context.subject, text))
    if field.message_type is None or field.message_type.full_name != SENSITIVE:
        raise no_way(Personal, field)
    return Conversion(_unsealed, _sealed)


def _shown(words: Personal) -> str:
    if words.sealed is not None:
        raise ValueError("sealed words are revealed before they are shown")
    return ERASED if words.text is None else words.text


def _unsealed(words: Personal) -> Sensitive:
    if words.text is None:
        raise ValueError("sealed words are never copied into another event: refer to it")
    return Sensitive(subject=words.subject, ciphertext=words.text.encode())


def _sealed(words: Sensitive, context: Context) -> Personal:
    if not words.key_id:
        return Personal(words.subject, words.ciphertext.decode())
    field = (context.places or {})[words.nonce]
    return Personal(
        words.subject,
        sealed=Sealed(context.version, field, words.key_id, words.nonce, words.ciphertext),
    )


# Containers


def sequence(container: type, element: Conversion) -> Conversion:
    in_order: Callable[[Iterable[Value]], Iterable[Value]] = (
        sorted if container is frozenset else iter
    )

    def read(values: Iterable[Value], context: Context) -> Value:
        done = []
        for index, value in enumerate(values):
            try:
                done.append(element.read(value, context))
            except (ValueError, Unmappable) as error:
                raise pointing(f"/{index}", error) from error
        return container(done)

    return Conversion(lambda values: [element.write(each) for each in in_order(values)], read)


def mapping(value: Conversion) -> Conversion:
    return Conversion(
        lambda items: {key: value.write(each) for key, each in items.items()},
        lambda items, context: {key: value.read(each, context) for key, each in items.items()},
    )
