"""From a JSON value to the Python value of one scalar or enum field."""

import base64
import binascii
import math
import re
from collections.abc import Callable
from typing import TypeAlias

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from transcoding.descriptors import Json

Convert: TypeAlias = Callable[[Json], Json]

FLOAT_MAX = float.fromhex("0x1.fffffep+127")
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
INTEGER = re.compile(r"-?[0-9]{1,20}")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Mismatch(Exception):
    """A value is not what its field takes; the message says what is expected."""


def kind(value: Json) -> str:
    """What JSON calls the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def converter(field: FieldDescriptor) -> Convert:
    """From the JSON value of one scalar or enum to the Python value; raises `Mismatch`."""
    if field.enum_type is not None:
        return _enum_converter(field.enum_type)
    return SCALAR_CONVERTERS[field.type]


def _mismatch(expected: str, value: Json) -> Mismatch:
    return Mismatch(f"expected {expected}, got {kind(value)}")


def _enum_converter(enum: EnumDescriptor) -> Convert:
    if enum.full_name == "google.protobuf.NullValue":
        return _null
    numbers = {name: value.number for name, value in enum.values_by_name.items()}
    known = frozenset(numbers.values())
    names = [value.name for value in enum.values if value.number] or list(numbers)

    def convert(value: Json) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        if type(value) is int and value in known:
            return value
        raise Mismatch(f"expected one of {', '.join(names)}")

    return convert


def _null(value: Json) -> int:
    if value not in (None, "NULL_VALUE"):
        raise _mismatch("null", value)
    return 0


def _integer(low: int, high: int) -> Convert:
    def convert(value: Json) -> int:
        if (type(value) is str and INTEGER.fullmatch(value)) or (
            type(value) is float and value.is_integer()
        ):
            value = int(value)
        if type(value) is not int:
            expected = "a whole number" if type(value) is float else "an integer"
            raise _mismatch(expected, value)
        if not low <= value <= high:
            raise Mismatch(f"expected an integer from {low} to {high}")
        return value

    return convert


def _number(limit: float) -> Convert:
    def convert(value: Json) -> float:
        if type(value) is str:
            if value in NOT_FINITE:
                return NOT_FINITE[value]
            if not NUMBER.fullmatch(value):
                raise _mismatch("a number", value)
            value = float(value)
        if type(value) not in (int, float):
            raise _mismatch("a number", value)
        if not -limit <= value <= limit or math.isinf(value):
            raise Mismatch(f"expected a number from {-limit:g} to {limit:g}")
        return float(value)

    return convert


def _boolean(value: Json) -> bool:
    if type(value) is not bool:
        raise _mismatch("true or false", value)
    return value


def _string(value: Json) -> str:
    if type(value) is not str:
        raise _mismatch("a string", value)
    if "\0" in value:
        raise Mismatch("expected text without the character U+0000")
    return value


def _bytes(value: Json) -> bytes:
    if type(value) is not str:
        raise _mismatch("base64", value)
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Mismatch("expected base64") from error


INT32 = _integer(-(2**31), 2**31 - 1)
INT64 = _integer(-(2**63), 2**63 - 1)
UINT32 = _integer(0, 2**32 - 1)
UINT64 = _integer(0, 2**64 - 1)
SCALAR_CONVERTERS: dict[int, Convert] = {
    FieldDescriptor.TYPE_INT32: INT32,
    FieldDescriptor.TYPE_SINT32: INT32,
    FieldDescriptor.TYPE_SFIXED32: INT32,
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_SINT64: INT64,
    FieldDescriptor.TYPE_SFIXED64: INT64,
    FieldDescriptor.TYPE_UINT32: UINT32,
    FieldDescriptor.TYPE_FIXED32: UINT32,
    FieldDescriptor.TYPE_UINT64: UINT64,
    FieldDescriptor.TYPE_FIXED64: UINT64,
    FieldDescriptor.TYPE_FLOAT: _number(FLOAT_MAX),
    FieldDescriptor.TYPE_DOUBLE: _number(math.inf),
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_BYTES: _bytes,
}
