"""Protobuf messages as columns: the DuckDB type of each field, from its descriptor."""

from collections.abc import Mapping

from google.protobuf.descriptor import Descriptor, FieldDescriptor

NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: "INTEGER",
    FieldDescriptor.CPPTYPE_UINT32: "UINTEGER",
    FieldDescriptor.CPPTYPE_INT64: "BIGINT",
    FieldDescriptor.CPPTYPE_UINT64: "UBIGINT",
    FieldDescriptor.CPPTYPE_DOUBLE: "DOUBLE",
    FieldDescriptor.CPPTYPE_FLOAT: "DOUBLE",
    FieldDescriptor.CPPTYPE_BOOL: "BOOLEAN",
}
WELL_KNOWN = {
    "google.protobuf.Timestamp": "TIMESTAMP",
    "google.protobuf.Duration": "VARCHAR",
}

OF_EVENTS: Mapping[str, str] = {
    "eventId": "VARCHAR",
    "type": "VARCHAR",
    "stream": "VARCHAR",
    "version": "INTEGER",
    "site": "VARCHAR",
    "actor": "VARCHAR",
    "occurredAt": "TIMESTAMP",
    "recordedAt": "TIMESTAMP",
    "correlationId": "VARCHAR",
    "data": "JSON",
    "unread": "VARCHAR",
}
OF_STREAMS: Mapping[str, str] = {
    "stream": "VARCHAR",
    "version": "INTEGER",
    "changedAt": "TIMESTAMP",
    "problem": "VARCHAR",
}
NEVER = frozenset({"etag", "allowedActions"})
"""Fields of resources that say nothing in a table: the version has its column, nobody is asking."""


def of_table(resource: Descriptor) -> Mapping[str, str]:
    """One row for each stream: its version, and the fields of what it folds to."""
    return {**OF_STREAMS, **_of(resource)}


def _of(message: Descriptor) -> dict[str, str]:
    return {
        field.json_name: _type(field) for field in message.fields if field.json_name not in NEVER
    }


def _type(field: FieldDescriptor) -> str:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return "JSON"
    return f"{_one(field)}[]" if field.is_repeated else _one(field)


def _one(field: FieldDescriptor) -> str:
    if field.message_type is None:
        return NUMBERS.get(field.cpp_type, "VARCHAR") if field.enum_type is None else "VARCHAR"
    if known := WELL_KNOWN.get(field.message_type.full_name):
        return known
    inner = ", ".join(f'"{name}" {kind}' for name, kind in _of(field.message_type).items())
    return f"STRUCT({inner})"
