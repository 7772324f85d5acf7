from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType, get_args
from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from eventstore.conversion import MappingMismatch, Unmappable
from eventstore.mapping import Mapper, OneofCodec, Undecodable, UnknownCase
from kernel.errors import Violation
from kernel.money import Money
from kernel.personal import ERASED, Personal, Sealed
from kernel.units import Distance, DistanceUnit
from testkit.events import (
    MESSAGES,
    CarId,
    CarLent,
    CarReturned,
    LoanBilled,
    LoanEvent,
    MeterCorrected,
    MeterRead,
    declare,
    loan_codec,
)
from testkit.store_contract import ANNA, MONDAY, VAN

PROTO = """
name: "bayline/testkit/v1/mapping.proto" package: "bayline.testkit.mapping.v1" syntax: "proto3"
dependency: "google/protobuf/timestamp.proto" dependency: "google/protobuf/duration.proto"
dependency: "bayline/api/v1/annotations.proto" dependency: "bayline/event/v1/metadata.proto"
dependency: "bayline/type/v1/values.proto"
enum_type { name: "TyreState" value { name: "TYRE_STATE_UNSPECIFIED" number: 0 }
  value { name: "TYRE_STATE_NEW" number: 1 } value { name: "TYRE_STATE_WORN_OUT" number: 4 } }
message_type { name: "Tyre"
  field { name: "position" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "state" number: 2 label: LABEL_OPTIONAL type: TYPE_ENUM
          type_name: ".bayline.testkit.mapping.v1.TyreState" } }
message_type { name: "Inspection"
  field { name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "name"
          options { [bayline.api.v1.rules] { resource: "inspections" } } }
  field { name: "inspector" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING
          json_name: "inspector" options { [bayline.api.v1.rules] { resource: "technicians" } } }
  field { name: "done_at" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE json_name: "doneAt"
          type_name: ".google.protobuf.Timestamp" }
  field { name: "took" number: 4 label: LABEL_OPTIONAL type: TYPE_MESSAGE json_name: "took"
          type_name: ".google.protobuf.Duration" }
  field { name: "price" number: 5 label: LABEL_OPTIONAL type: TYPE_MESSAGE json_name: "price"
          type_name: ".bayline.type.v1.Money" }
  field { name: "meter" number: 6 label: LABEL_OPTIONAL type: TYPE_MESSAGE json_name: "meter"
          type_name: ".bayline.type.v1.Distance" }
  field { name: "tyres" number: 7 label: LABEL_REPEATED type: TYPE_MESSAGE json_name: "tyres"
          type_name: ".bayline.testkit.mapping.v1.Tyre" }
  field { name: "note" number: 8 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "note" }
  field { name: "valid_until" number: 9 label: LABEL_OPTIONAL type: TYPE_STRING
          json_name: "validUntil" }
  field { name: "depth" number: 10 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "depth" }
  field { name: "device" number: 11 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "device" }
  field { name: "passed" number: 12 label: LABEL_OPTIONAL type: TYPE_BOOL json_name: "passed" }
  field { name: "codes" number: 13 label: LABEL_REPEATED type: TYPE_INT32 json_name: "codes" }
  field { name: "remarks" number: 14 label: LABEL_OPTIONAL type: TYPE_STRING proto3_optional: true
          oneof_index: 0 json_name: "remarks" }
  field { name: "state" number: 15 label: LABEL_OPTIONAL type: TYPE_ENUM json_name: "state"
          type_name: ".bayline.testkit.mapping.v1.TyreState" }
  field { name: "photo" number: 16 label: LABEL_OPTIONAL type: TYPE_BYTES json_name: "photo" }
  field { name: "lamps" number: 17 label: LABEL_REPEATED type: TYPE_MESSAGE json_name: "lamps"
          type_name: ".bayline.testkit.mapping.v1.Inspection.LampsEntry" }
  field { name: "etag" number: 18 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "etag" }
  nested_type { name: "LampsEntry" options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 } }
  oneof_decl { name: "_remarks" } }
message_type { name: "OldLoanEvent" oneof_decl { name: "event" }
  field { name: "car_given" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE oneof_index: 0
          type_name: ".bayline.testkit.mapping.v1.CarGiven" }
  field { name: "car_lent" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE oneof_index: 0
          type_name: ".bayline.testkit.mapping.v1.CarLent" } }
message_type { name: "CarGiven"
  field { name: "to" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".bayline.event.v1.Sensitive" }
  field { name: "car" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING } }
message_type { name: "CarLent"
  field { name: "car" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING
          options { [bayline.api.v1.rules] { resource: "cars" } } }
  field { name: "borrower" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".bayline.event.v1.Sensitive" }
  field { name: "lent_at" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".google.protobuf.Timestamp" } }
"""
DECLARED = declare(PROTO)
InspectionId = NewType("InspectionId", UUID)
TechnicianId = NewType("TechnicianId", str)


class TyreState(StrEnum):
    NEW = "new"
    WORN_OUT = "worn out"


@dataclass(frozen=True, slots=True)
class Tyre:
    position: int
    state: TyreState


@dataclass(frozen=True, slots=True)
class Inspection:
    inspection_id: InspectionId
    inspector: TechnicianId | None
    done_at: datetime
    took: timedelta
    price: Money
    meter: Distance | None
    tyres: tuple[Tyre, ...]
    note: Personal
    valid_until: date
    depth: Decimal
    device: UUID
    passed: bool
    codes: frozenset[int]
    remarks: str | None
    state: TyreState | None
    photo: bytes
    lamps: Mapping[str, int]


MAPPER: Mapper[Any, Inspection] = Mapper(
    DECLARED["Inspection"], Inspection, rename={"inspection_id": "name"}, ignore={"etag"}
)
FULL = Inspection(
    inspection_id=InspectionId(UUID(int=7)),
    inspector=TechnicianId("tech-1"),
    done_at=MONDAY,
    took=timedelta(minutes=90, microseconds=1),
    price=Money(12_950, "EUR"),
    meter=Distance(120_345_000, DistanceUnit.MILE),
    tyres=(Tyre(1, TyreState.NEW), Tyre(2, TyreState.WORN_OUT)),
    note=Personal("jobs/7", "front left is Anna's"),
    valid_until=date(2027, 11, 30),
    depth=Decimal("1.60"),
    device=UUID(int=9),
    passed=True,
    codes=frozenset({3, 1, 2}),
    remarks="",
    state=TyreState.WORN_OUT,
    photo=b"\x00\xff",
    lamps={"left": 1, "right": 0},
)


def test_every_kind_of_field_goes_out_and_comes_back() -> None:
    message = MAPPER.to_message(FULL)

    assert MAPPER.from_message(message, subject="jobs/7") == FULL
    assert message.name == "inspections/00000000-0000-0000-0000-000000000007"
    assert message.inspector == "technicians/tech-1"
    assert message.tyres[1].state == 4
    assert (message.note, message.valid_until, message.depth) == (
        "front left is Anna's",
        "2027-11-30",
        "1.60",
    )
    assert list(message.codes) == [1, 2, 3]
    assert message.HasField("remarks")


def test_what_is_absent_stays_absent() -> None:
    message = MAPPER.to_message(FULL)
    for name in ("inspector", "meter", "remarks", "state"):
        message.ClearField(name)

    bare = MAPPER.from_message(message)

    assert (bare.inspector, bare.meter, bare.remarks, bare.state) == (None, None, None, None)
    assert MAPPER.to_message(bare) == message


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"name": "jobs/7"}, "/name", "is not a name of the form inspections/<id>"),
        ({"name": "inspections/"}, "/name", "is not a name of the form inspections/<id>"),
        ({"name": "inspections/7"}, "/name", "badly formed hexadecimal UUID string"),
        ({"done_at": None}, "/doneAt", "is required"),
        ({"depth": "deep"}, "/depth", "is not a decimal number"),
        ({"valid_until": "30.11."}, "/validUntil", "Invalid isoformat string: '30.11.'"),
        ({"tyres": [{"position": 1}]}, "/tyres/0/state", "is required"),
        ({"tyres": [{"state": 1}, {"state": 9}]}, "/tyres/1/state", "has the unknown value 9"),
    ],
)
def test_a_value_that_cannot_be_is_pointed_at(
    change: dict[str, Any], pointer: str, detail: str
) -> None:
    message = MAPPER.to_message(FULL)
    for name, value in change.items():
        message.ClearField(name)
        if value is not None:
            message.MergeFrom(type(message)(**{name: value}))

    with pytest.raises(Unmappable) as refusal:
        MAPPER.from_message(message)

    assert refusal.value.violations == (Violation(pointer, detail),)


def test_erased_words_are_shown_as_erased_and_sealed_ones_not_at_all() -> None:
    sealed = Sealed(1, "f", "k", b"n", b"c")

    shown = MAPPER.to_message(replace_note(Personal("jobs/7")))

    assert shown.note == ERASED
    with pytest.raises(ValueError, match="revealed before"):
        MAPPER.to_message(replace_note(Personal("jobs/7", sealed=sealed)))


def replace_note(note: Personal) -> Inspection:
    values = {name: getattr(FULL, name) for name in Inspection.__dataclass_fields__}
    return Inspection(**{**values, "note": note})


@for_all(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 -- hypothesis wants naive bounds
def test_times_are_exact_to_the_microsecond(at: datetime) -> None:
    codec = loan_codec()

    record = codec.encode(CarReturned(at))

    assert codec.decode("", record.SerializeToString(), 1) == CarReturned(at)


CHANGED: Mapping[str, Any] = {
    "inspector": int,
    "done_at": str,
    "took": int,
    "price": str,
    "tyres": list[Tyre],
    "note": bytes,
    "codes": tuple[int, int],
    "state": str,
    "photo": str,
    "passed": int,
    "lamps": int,
    "device": float,
    "meter": Personal,
    "valid_until": str | None,
    "depth": int | str,
}


@pytest.mark.parametrize("field", CHANGED)
def test_types_that_do_not_fit_are_named_at_start_up(field: str) -> None:
    types = {name: each.type for name, each in Inspection.__dataclass_fields__.items()}
    changed = make_dataclass("Changed", (types | {field: CHANGED[field]}).items())

    with pytest.raises(MappingMismatch, match=f"Inspection.{field} "):
        Mapper(DECLARED["Inspection"], changed, rename={"inspection_id": "name"}, ignore={"etag"})


def test_fields_that_are_on_one_side_only_are_named_at_start_up() -> None:
    @dataclass
    class MeterReadings:
        reading: int
        miles: int

    with pytest.raises(
        MappingMismatch, match=r"only the dataclass has \['miles'\].* message has \['metres'\]"
    ):
        Mapper(MESSAGES["MeterRead"], MeterReadings)


def test_an_enum_that_has_grown_on_one_side_is_named_at_start_up() -> None:
    class TyreState(StrEnum):
        NEW = "new"
        PATCHED = "patched"

    tyre = make_dataclass("Tyre", [("position", int), ("state", TyreState)])

    with pytest.raises(MappingMismatch, match=r"differ in \['PATCHED', 'WORN_OUT'\]"):
        Mapper(DECLARED["Tyre"], tyre)


def test_an_inner_message_with_other_names_brings_its_own_mapper() -> None:
    wheel = make_dataclass("Wheel", [("place", int), ("state", TyreState)])
    inner: Mapper[Any, Any] = Mapper(DECLARED["Tyre"], wheel, rename={"place": "position"})
    types = {name: each.type for name, each in Inspection.__dataclass_fields__.items()}
    wheels = tuple.__class_getitem__((wheel, ...))
    check = make_dataclass("Check", (types | {"tyres": wheels}).items())
    mapper: Mapper[Any, Any] = Mapper(
        DECLARED["Inspection"],
        check,
        rename={"inspection_id": "name"},
        ignore={"etag"},
        nested=[inner],
    )

    read = mapper.from_message(MAPPER.to_message(FULL))

    assert read.tyres == (wheel(1, TyreState.NEW), wheel(2, TyreState.WORN_OUT))


@pytest.mark.parametrize(
    "event",
    [
        CarLent(VAN, ANNA, MONDAY),
        MeterRead(1, 120_345_678_901),
        MeterCorrected(1, 2, MONDAY, (ANNA,)),
        MeterCorrected(1, 2, MONDAY, ()),
        CarReturned(MONDAY),
        LoanBilled("north-2026", 42),
    ],
)
def test_every_event_has_a_wire_form(event: LoanEvent) -> None:
    codec = loan_codec()

    record = codec.encode(event)

    assert codec.decode(codec.type_of(event), record.SerializeToString(), 1) == event
    assert codec.type_of(event) == f"bayline.testkit.v1.{type(event).__name__}"
    assert codec.log == "bayline.testkit.v1.LoanEvent"
    assert codec.dataschema.startswith("bayline.testkit.v1.LoanEvent@")


def test_an_event_without_a_case_and_a_case_without_an_event_are_named_at_start_up() -> None:
    @dataclass
    class CarStolen:
        car: CarId

    with pytest.raises(
        MappingMismatch, match=r"are \['CarStolen'\].* only messages are \['CarLent'\]"
    ):
        OneofCodec(
            MESSAGES["LoanEvent"],
            [CarStolen, *(event for event in get_args(LoanEvent) if event is not CarLent)],
        )


def test_bytes_that_cannot_be_read_are_told_from_events_not_known_yet() -> None:
    codec = loan_codec()
    newer = b"\x9a\x06\x00"  # field 99, empty

    with pytest.raises(UnknownCase, match=r"x\.CarSold"):
        codec.decode("x.CarSold", newer, 1)
    for broken in (b"\xff", b"\x0a\x00", b"", newer):
        with pytest.raises(Undecodable) as refusal:
            codec.decode("bayline.testkit.v1.CarLent", broken, 1)
        assert not isinstance(refusal.value, UnknownCase)


def test_sealed_words_are_never_copied_into_another_event() -> None:
    sealed = Personal("borrowers/anna", sealed=Sealed(1, "f", "k", b"n", b"c"))

    with pytest.raises(ValueError, match="refer to it"):
        loan_codec().encode(CarLent(VAN, sealed, MONDAY))


def test_an_old_event_is_read_as_its_successor_and_keeps_its_seal() -> None:
    def lent(given: Any) -> Any:
        return DECLARED["CarLent"](
            car=f"cars/{given.car}", borrower=given.to, lent_at={"seconds": 0}
        )

    codec: OneofCodec[CarLent] = OneofCodec(
        DECLARED["OldLoanEvent"],
        [CarLent],
        upcast={"bayline.testkit.mapping.v1.CarGiven": lent},
    )
    words = {"subject": ANNA.subject, "key_id": "k", "nonce": b"n", "ciphertext": b"c"}
    stored = DECLARED["OldLoanEvent"](car_given={"car": "van", "to": words}).SerializeToString()

    event = codec.decode("bayline.testkit.mapping.v1.CarGiven", stored, 4)

    place = Sealed(4, "bayline.testkit.mapping.v1.CarGiven/1", "k", b"n", b"c")
    assert event == CarLent(
        VAN, Personal(ANNA.subject, sealed=place), datetime(1970, 1, 1, tzinfo=UTC)
    )


def test_what_the_message_does_not_say_is_given_by_the_caller() -> None:
    @dataclass(frozen=True)
    class FittedTyre:
        position: int
        state: TyreState
        fitted_by: str

    mapper: Mapper[Any, FittedTyre] = Mapper(DECLARED["Tyre"], FittedTyre, given={"fitted_by"})

    tyre = mapper.from_message(DECLARED["Tyre"](position=2, state=1), fitted_by="tech-1")

    assert tyre == FittedTyre(2, TyreState.NEW, "tech-1")
    assert mapper.to_message(tyre) == DECLARED["Tyre"](position=2, state=1)


def test_words_that_were_not_said_are_none() -> None:
    types = {name: each.type for name, each in Inspection.__dataclass_fields__.items()}
    quiet = make_dataclass("Quiet", (types | {"note": Personal | None}).items())
    mapper: Mapper[Any, Any] = Mapper(
        DECLARED["Inspection"], quiet, rename={"inspection_id": "name"}, ignore={"etag"}
    )
    message = MAPPER.to_message(FULL)

    assert mapper.from_message(message, subject="jobs/7").note == FULL.note
    message.ClearField("note")
    assert mapper.from_message(message).note is None


def test_a_value_that_a_dataclass_refuses_is_refused_as_a_whole() -> None:
    @dataclass(frozen=True)
    class EvenTyre:
        position: int
        state: TyreState

        def __post_init__(self) -> None:
            if self.position % 2:
                raise ValueError("is odd")

    mapper: Mapper[Any, EvenTyre] = Mapper(DECLARED["Tyre"], EvenTyre)

    with pytest.raises(Unmappable) as refusal:
        mapper.from_message(DECLARED["Tyre"](position=1, state=1))

    assert refusal.value.violations == (Violation("", "is odd"),)
