import json
from typing import Any

import pytest
from google.protobuf import json_format, wrappers_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.errors import Violation
from transcoding.descriptors import is_map, map_types
from transcoding.json import encoder, parser

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
LARGEST = 253_402_300_799  # 9999-12-31T23:59:59Z


def signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.TYPE_INT32: signed(32),
    FieldDescriptor.TYPE_SINT32: signed(32),
    FieldDescriptor.TYPE_SFIXED32: signed(32),
    FieldDescriptor.TYPE_INT64: signed(64),
    FieldDescriptor.TYPE_SINT64: signed(64),
    FieldDescriptor.TYPE_SFIXED64: signed(64),
    FieldDescriptor.TYPE_UINT32: unsigned(32),
    FieldDescriptor.TYPE_FIXED32: unsigned(32),
    FieldDescriptor.TYPE_UINT64: unsigned(64),
    FieldDescriptor.TYPE_FIXED64: unsigned(64),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
    FieldDescriptor.TYPE_ENUM: st.sampled_from([0, 1, 2]),
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
SHAPED: dict[str, st.SearchStrategy[Any]] = {
    "google.protobuf.Struct": st.dictionaries(TEXTS, JSON_VALUES, max_size=2),
    "google.protobuf.Value": JSON_VALUES,
    "google.protobuf.ListValue": st.lists(JSON_VALUES, max_size=2),
    "google.protobuf.FieldMask": st.sampled_from(["", "name", "name,addressLine.cityName"]),
    "google.protobuf.Any": st.just(
        {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "x"}
    ),
}


def put(draw: st.DrawFn, message: Any, depth: int) -> None:
    """Sets some fields of the message at random."""
    descriptor: Descriptor = message.DESCRIPTOR
    if descriptor.full_name in SHAPED:
        json_format.ParseDict(draw(SHAPED[descriptor.full_name]), message)
    elif descriptor.full_name == "google.protobuf.Timestamp":
        message.seconds = draw(st.integers(-62_135_596_800, LARGEST))
        message.nanos = draw(st.sampled_from([0, 5_000_000, 5_000, 5]))
    elif descriptor.full_name == "google.protobuf.Duration":
        message.seconds = draw(st.integers(0, 315_576_000_000))
        message.nanos = draw(st.sampled_from([0, 5_000_000, 5_000, 5]))
    else:
        names = [field.name for field in descriptor.fields]
        for name in draw(st.lists(st.sampled_from(names), max_size=5)) if names else []:
            put_field(draw, message, descriptor.fields_by_name[name], depth)


def put_field(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    if is_map(field):
        key, value = map_types(field)
        entries = getattr(message, field.name)
        if value.message_type is not None:
            put(draw, entries[draw(SCALARS[key.type])], depth - 1)
        else:
            entries[draw(SCALARS[key.type])] = draw(SCALARS[value.type])
    elif field.message_type is not None:
        if depth > 0:
            target = getattr(message, field.name)
            nested = target.add() if field.is_repeated else target
            nested.SetInParent()
            put(draw, nested, depth - 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(SCALARS[field.type], max_size=3)))
    else:
        nothing = field.enum_type is not None and field.enum_type.name == "NullValue"
        setattr(message, field.name, 0 if nothing else draw(SCALARS[field.type]))


@st.composite
def filled(draw: st.DrawFn, kind: type[Message]) -> Message:
    message = kind()
    put(draw, message, 3)
    return message


@settings(
    max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(data=st.data())
def test_a_message_reads_and_writes_as_the_reference_implementation_does(
    data: st.DataObject, shop: Any
) -> None:
    everything = shop.message("Everything")
    message = data.draw(filled(everything))

    document = encoder(everything)(message)
    again = everything()
    violations = parser(everything)(json.loads(json.dumps(document)), again)

    reference = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    assert json.dumps(document, sort_keys=True) == json.dumps(reference, sort_keys=True)
    assert violations == []
    assert again.SerializeToString(deterministic=True) == json_format.ParseDict(
        reference, everything()
    ).SerializeToString(deterministic=True)


WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 5, -5, 2**40, 2**70, 1.5, "", "x", "5", "1.5", "true", "ORDER_STATE_PAID",
     "2026-11-24T08:00:00Z", "5s", "name", "AAAA", [], ["x"], [5], [None], {}, {"x": 5}, {"5": "x"},
     {"true": {}}, {"stringValue": "x"}, {"this": "a", "that": "5"}]
)  # fmt: skip


@settings(max_examples=1500, deadline=None, database=None)
@given(data=st.data())
def test_what_the_reference_implementation_refuses_is_refused(
    data: st.DataObject, shop: Any
) -> None:
    everything = shop.message("Everything")
    fields = st.sampled_from([field.json_name for field in everything.DESCRIPTOR.fields])
    document = data.draw(st.dictionaries(fields, WRONG, max_size=3))

    violations = parser(everything)(document, everything())

    if not violations:
        json_format.ParseDict(document, everything()).SerializeToString()


def violations_of(kind: type[Message], document: Any) -> list[Violation]:
    return parser(kind)(document, kind())


def test_every_violation_is_told_at_once_with_its_pointer(shop: Any) -> None:
    body = {
        "lines": [{"sku": 5, "quantity": "many"}, {"sku": "NUT-8", "quantty": 1}, None],
        "address": "Oslo",
        "adress": {},
        "cashCents": 2**63,
        "no~te/": "x",
    }

    assert violations_of(shop.message("PlaceOrderRequest"), body) == [
        Violation("/lines/0/sku", "expected a string, got a number"),
        Violation("/lines/0/quantity", "expected an integer, got a string"),
        Violation("/lines/1/quantty", 'unknown field "quantty"; did you mean quantity'),
        Violation("/lines/2", "an element may not be null"),
        Violation("/address", "expected an object, got a string"),
        Violation("/adress", 'unknown field "adress"; did you mean address'),
        Violation(
            "/cashCents", f"expected an integer from {-(2**63)} to {2**63 - 1}"
        ),
        Violation("/no~0te~1", 'unknown field "no~te/"; did you mean note'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "pointer", "detail"),
    [
        ([], "", "expected an object, got an array"),
        ({"enumValue": "OPEN"}, "/enumValue", "expected one of ORDER_STATE_OPEN, ORDER_STATE_PAID"),
        ({"enumValue": 7}, "/enumValue", "expected one of ORDER_STATE_OPEN, ORDER_STATE_PAID"),
        ({"int32Value": 1.5}, "/int32Value", "expected a whole number, got a number"),
        ({"int32Value": True}, "/int32Value", "expected an integer, got true"),
        ({"boolValue": "true"}, "/boolValue", "expected true or false, got a string"),
        ({"floatValue": 1e39}, "/floatValue", "expected a number from -3.40282e+38 to 3.40282e+38"),
        ({"bytesValue": "?"}, "/bytesValue", "expected base64"),
        ({"stringValue": "a\0"}, "/stringValue", "expected text without the character U+0000"),
        ({"byBool": {"yes": {}}}, "/byBool/yes", "as a key: expected true or false"),
        ({"byInt64": {"5": 5}}, "/byInt64/5", "expected a string, got a number"),
        ({"span": "5 minutes"}, "/span", "expected seconds such as 5400s or 1.5s"),
        ({"this": "a", "that": 5}, "/that", "excludes this: only one of them may be set"),
        ({"manyString": "a"}, "/manyString", "expected an array, got a string"),
        ({"struct": []}, "/struct", "expected an object, got an array"),
        ({"list": {}}, "/list", "expected an array, got an object"),
        ({"xyz": 1}, "/xyz", "unknown field"),
    ],
)
def test_a_wrong_value_says_what_is_expected(
    shop: Any, document: Any, pointer: str, detail: str
) -> None:
    [violation] = violations_of(shop.message("Everything"), document)

    assert violation.pointer == pointer
    assert violation.detail.startswith(detail)


@pytest.mark.parametrize(
    "text",
    ["2026-11-24", "2026-11-24T08:00:00", "2026-13-24T08:00:00Z", "2026-11-24T08:00:00+25:00", "", "now",
     "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"],
)  # fmt: skip
def test_a_time_must_be_one_with_its_offset(shop: Any, text: str) -> None:
    assert violations_of(shop.message("Everything"), {"time": text}) == [
        Violation("/time", "expected an RFC 3339 time such as 2026-11-24T08:00:00Z")
    ]


@pytest.mark.parametrize("key", ["nested", "value"])
def test_a_bottomless_document_is_refused(shop: Any, key: str) -> None:
    document: Any = {}
    for _ in range(900):
        document = {key: document}

    [violation] = violations_of(shop.message("Everything"), document)

    assert violation.detail == "nested deeper than 30 levels"


def test_the_deepest_document_that_is_taken_can_be_sent_on(shop: Any) -> None:
    everything = shop.message("Everything")
    document: Any = {}
    for _ in range(28):
        document = {"value": document}
    message = everything()

    assert parser(everything)({"value": document}, message) == []
    assert everything.FromString(message.SerializeToString()) == message


def test_a_wrapper_stands_for_its_value() -> None:
    message = wrappers_pb2.Int64Value()

    assert parser(wrappers_pb2.Int64Value)("7", message) == []
    assert encoder(wrappers_pb2.Int64Value)(message) == "7"


def test_a_flood_of_nonsense_is_cut_short(shop: Any) -> None:
    document = {f"{n}{'x' * 1000}": n for n in range(1000)}

    violations = violations_of(shop.message("Everything"), document)

    assert len(violations) == 100
    assert len(violations[0].detail) < 1000


@pytest.mark.parametrize(("sent", "read"), [(50, 50), (51, 50), (100_000, 50)])
def test_a_list_is_read_as_far_as_its_bound(shop: Any, sent: int, read: int) -> None:
    """What is beyond is not even looked at: it is no line."""
    message = shop.message("PlaceOrderRequest")()
    document: Any = {"lines": [{}] * 50 + ["no line"] * (sent - 50)}

    violations = parser(type(message))(document, message)

    told = [Violation("/lines", "has more than 50 elements")] if sent > 50 else []
    assert (violations, len(message.lines)) == (told, read)
