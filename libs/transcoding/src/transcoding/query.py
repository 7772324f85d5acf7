"""Query parameters of a request: the fields that neither path, body nor headers carry."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from kernel.errors import Violation
from transcoding.descriptors import Json, field_rules, is_map, is_output_only, is_wrapper
from transcoding.errors import InvalidParameter
from transcoding.parsing import MOST_TOLD, unknown
from transcoding.wellknown import PARSERS, escaped

DEEPEST = 3
"""Levels of dotted names, so that a recursive message ends."""
MOST_PARAMETERS = 100
"""In one query: more are refused unread."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`filter.plannedFrom`: the dotted public name of a leaf field."""

    name: str
    field: FieldDescriptor

    def document(self, values: list[str]) -> Json:
        """What protobuf JSON would hold for the texts of the parameter; one too many is enough."""
        most = field_rules(self.field).max_items
        converted = [self._converted(value) for value in values[: most + 1 if most else None]]
        return converted if self.field.is_repeated else converted[0]

    def _converted(self, value: str) -> Json:
        if _is_boolean(self.field):
            return {"true": True, "false": False}.get(value, value)
        if _is_timestamp(self.field):
            return value.replace(" ", "+")
        return value


def parameters(fields: Iterable[FieldDescriptor]) -> Iterator[Parameter]:
    """Every leaf that a query can carry: no maps, no lists of messages, nothing output only."""
    return _leaves(fields, "", DEEPEST)


def query_parser(
    fields: Iterable[FieldDescriptor],
) -> Callable[[bytes], tuple[dict[str, Json], list[Violation]]]:
    """From a raw query string to the document that the fields' JSON parser takes."""
    known = {parameter.name: parameter for parameter in parameters(fields)}

    def parse(raw: bytes) -> tuple[dict[str, Json], list[Violation]]:
        document: dict[str, Json] = {}
        violations: list[Violation] = []
        for name, values in _grouped(raw).items():
            parameter = known.get(name)
            pointer = "/" + escaped(name).replace(".", "/")
            if parameter is None:
                detail = unknown(name, list(known), "query parameter")
                violations.append(Violation(pointer, detail))
            elif len(values) > 1 and not parameter.field.is_repeated:
                violations.append(Violation(pointer, "may be given only once"))
            else:
                _put(document, name.split("."), parameter.document(values))
            if len(violations) >= MOST_TOLD:
                break
        return document, violations

    return parse


def _leaves(fields: Iterable[FieldDescriptor], prefix: str, levels: int) -> Iterator[Parameter]:
    for field in fields:
        if is_map(field) or is_output_only(field):
            continue
        name = prefix + field.json_name
        if field.message_type is None or _is_text(field.message_type):
            yield Parameter(name, field)
        elif levels > 1 and not field.is_repeated:
            yield from _leaves(field.message_type.fields, f"{name}.", levels - 1)


def _is_text(descriptor: Descriptor) -> bool:
    name = descriptor.full_name
    if name in {"google.protobuf.Struct", "google.protobuf.ListValue", "google.protobuf.Any"}:
        return False
    return is_wrapper(descriptor) or name in PARSERS


def _is_boolean(field: FieldDescriptor) -> bool:
    if field.message_type is not None:
        return field.message_type.full_name == "google.protobuf.BoolValue"
    return field.type == FieldDescriptor.TYPE_BOOL


def _is_timestamp(field: FieldDescriptor) -> bool:
    """A `+` that was not encoded arrives as a space, and times hold no other space."""
    return (
        field.message_type is not None
        and field.message_type.full_name == "google.protobuf.Timestamp"
    )


def _grouped(raw: bytes) -> dict[str, list[str]]:
    if raw.count(b"&") >= MOST_PARAMETERS:
        raise InvalidParameter(f"a query may have at most {MOST_PARAMETERS} parameters")
    grouped: dict[str, list[str]] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        grouped.setdefault(name, []).append(value)
    return grouped


def _put(document: dict[str, Json], path: list[str], value: Json) -> None:
    for part in path[:-1]:
        document = document.setdefault(part, {})
    document[path[-1]] = value
