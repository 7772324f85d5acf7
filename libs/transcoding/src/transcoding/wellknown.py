"""The well-known types that have a JSON form of their own."""

import re
from collections.abc import Callable
from typing import TypeAlias

from google.protobuf import json_format

from kernel.errors import Violation
from transcoding.descriptors import Json, Reflected
from transcoding.scalars import kind

Fill: TypeAlias = Callable[[Json, Reflected, str, list[Violation]], None]
"""Puts a JSON value into a message (or a list of them) at a JSON pointer."""

DEEPEST = 30
"""Levels of a document; protobuf itself stops at 100 messages, and a Struct takes three a level."""

RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


def escaped(key: str) -> str:
    """A reference token of a JSON pointer (RFC 6901, 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def is_too_deep(path: str) -> bool:
    return path.count("/") > DEEPEST


def not_an_object(document: Json, path: str) -> str:
    """Why the document is no object of the contract; "" when it is one."""
    if is_too_deep(path):
        return f"nested deeper than {DEEPEST} levels"
    return "" if isinstance(document, dict) else f"expected an object, got {kind(document)}"


def _from_text(expected: str, form: re.Pattern[str]) -> Fill:
    def fill(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
        if type(value) is not str:
            violations.append(Violation(path, f"expected {expected}, got {kind(value)}"))
            return
        try:
            if not form.fullmatch(value):
                raise ValueError(value)  # noqa: TRY301 -- one refusal for the form and the value
            message.FromJsonString(value)
        except (ValueError, OverflowError):
            violations.append(Violation(path, f"expected {expected}"))

    return fill


def _fill_struct(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
    if problem := not_an_object(value, path):
        violations.append(Violation(path, problem))
        return
    message.SetInParent()
    for key, item in value.items():
        _fill_value(item, message.fields[key], f"{path}/{escaped(key)}", violations)


def _fill_list(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
    if not isinstance(value, list):
        violations.append(Violation(path, f"expected an array, got {kind(value)}"))
        return
    message.SetInParent()
    for index, item in enumerate(value):
        _fill_value(item, message.values.add(), f"{path}/{index}", violations)


def _fill_value(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
    match value:
        case None:
            message.null_value = 0
        case bool():
            message.bool_value = value
        case int() | float():
            message.number_value = value
        case str():
            message.string_value = value
        case _ if is_too_deep(path):
            violations.append(Violation(path, f"nested deeper than {DEEPEST} levels"))
        case list():
            _fill_list(value, message.list_value, path, violations)
        case _:
            _fill_struct(value, message.struct_value, path, violations)


def _fill_any(value: Json, message: Reflected, path: str, violations: list[Violation]) -> None:
    if not isinstance(value, dict):
        violations.append(Violation(path, f"expected an object, got {kind(value)}"))
        return
    try:
        json_format.ParseDict(value, message, max_recursion_depth=DEEPEST)
    except (json_format.ParseError, TypeError, KeyError) as error:
        violations.append(Violation(path, f"expected a known @type and its fields: {error}"))


PARSERS: dict[str, Fill] = {
    "google.protobuf.Timestamp": _from_text(
        "an RFC 3339 time such as 2026-11-24T08:00:00Z", RFC_3339
    ),
    "google.protobuf.Duration": _from_text(
        "seconds such as 5400s or 1.5s", re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s")
    ),
    "google.protobuf.FieldMask": _from_text(
        "field paths such as name,address.city", re.compile(r"[A-Za-z0-9_.,]*")
    ),
    "google.protobuf.Struct": _fill_struct,
    "google.protobuf.Value": _fill_value,
    "google.protobuf.ListValue": _fill_list,
    "google.protobuf.Any": _fill_any,
}
