"""A small aggregate to test libraries with: the loan of a courtesy car, and its record message."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NewType, TypeAlias, get_args
from uuid import UUID

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bayline.api.v1 import annotations_pb2
from bayline.event.v1 import metadata_pb2
from bayline.type.v1 import values_pb2
from eventstore.decider import Decider
from eventstore.mapping import OneofCodec
from eventstore.store import Claim
from kernel.errors import DomainError, RuleViolated
from kernel.personal import Personal

CarId = NewType("CarId", str)


@dataclass(frozen=True, slots=True)
class CarLent:
    car: CarId
    borrower: Personal
    lent_at: datetime


@dataclass(frozen=True, slots=True)
class MeterRead:
    reading: int
    metres: int


@dataclass(frozen=True, slots=True)
class MeterCorrected:
    reading: int
    metres: int
    read_at: datetime
    reasons: tuple[Personal, ...]


@dataclass(frozen=True, slots=True)
class CarReturned:
    returned_at: datetime


@dataclass(frozen=True, slots=True)
class LoanBilled:
    series: str
    number: int


LoanEvent: TypeAlias = CarLent | MeterRead | MeterCorrected | CarReturned | LoanBilled


@dataclass(frozen=True, slots=True)
class Lend:
    car: CarId
    borrower: Personal
    at: datetime


@dataclass(frozen=True, slots=True)
class ReadMeter:
    metres: int


@dataclass(frozen=True, slots=True)
class CorrectMeter:
    reading: int
    metres: int
    read_at: datetime
    reason: Personal


@dataclass(frozen=True, slots=True)
class Return:
    at: datetime


@dataclass(frozen=True, slots=True)
class Bill:
    series: str


LoanCommand: TypeAlias = Lend | ReadMeter | CorrectMeter | Return | Bill
NextNumber: TypeAlias = int


@dataclass(frozen=True, slots=True)
class Loan:
    car: CarId | None = None
    borrower: Personal | None = None
    lent_at: datetime | None = None
    returned_at: datetime | None = None
    readings: frozenset[tuple[int, int]] = frozenset()
    corrections: frozenset[tuple[int, int]] = frozenset()
    reasons: frozenset[Personal] = frozenset()
    numbers: frozenset[tuple[str, int]] = frozenset()


class CarNotLent(RuleViolated):
    pass


class CarLentElsewhere(RuleViolated):
    pass


def decide(command: LoanCommand, loan: Loan, number: NextNumber) -> list[LoanEvent]:
    match command:
        case Lend(car, borrower, at):
            return [] if loan.car else [CarLent(car, borrower, at)]
        case _ if loan.car is None:
            raise CarNotLent("no car was lent")
        case ReadMeter(metres):
            return [MeterRead(len(loan.readings) + 1, metres)]
        case CorrectMeter(reading, metres, read_at, reason):
            return [MeterCorrected(reading, metres, read_at, (reason,))]
        case Return(at):
            return [MeterRead(len(loan.readings) + 1, 0), CarReturned(at)]
        case Bill(series):
            return [LoanBilled(series, number)]


def evolve(loan: Loan, event: LoanEvent) -> Loan:
    match event:
        case CarLent(car, borrower, lent_at):
            return replace(loan, car=car, borrower=borrower, lent_at=lent_at)
        case MeterRead(reading, metres):
            return replace(loan, readings=loan.readings | {(reading, metres)})
        case MeterCorrected(reading, metres, _, reasons):
            return replace(
                loan,
                corrections=loan.corrections | {(reading, metres)},
                reasons=loan.reasons | set(reasons),
            )
        case CarReturned(returned_at):
            return replace(loan, returned_at=returned_at)
        case LoanBilled(series, number):
            return replace(loan, numbers=loan.numbers | {(series, number)})


def claims(loan: Loan) -> AbstractSet[Claim]:
    """The car for as long as it is lent; the numbers of its bills for ever."""
    numbers = {Claim(f"number/{series}", str(number)) for series, number in loan.numbers}
    if loan.car is None:
        return numbers
    return numbers | {Claim("car", loan.car, loan.lent_at, loan.returned_at)}


def taken(scope: str, key: str, holder: UUID) -> DomainError | None:
    if scope.startswith("number/"):
        return None
    return CarLentElsewhere("the car is lent already", car=key, loan=str(holder))


def occurred(event: LoanEvent) -> datetime | None:
    return event.read_at if isinstance(event, MeterCorrected) else None


LOAN: Decider[LoanCommand, Loan, LoanEvent, NextNumber] = Decider(
    initial=Loan(),
    decide=decide,
    evolve=evolve,
    claims=claims,
    scopes=frozenset({"car"}),
    taken=taken,
    site=lambda loan: f"sites/{loan.car}" if loan.car else "",
    occurred=occurred,
)

# What `protos/` holds for a service stands here, so that contracts do not ship test messages.
PROTO = """
name: "bayline/testkit/v1/events.proto" package: "bayline.testkit.v1" syntax: "proto3"
dependency: "google/protobuf/timestamp.proto"
dependency: "bayline/api/v1/annotations.proto" dependency: "bayline/event/v1/metadata.proto"
message_type { name: "LoanEvent" oneof_decl { name: "event" }
  field { name: "car_lent" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE oneof_index: 0
          type_name: ".bayline.testkit.v1.CarLent" }
  field { name: "meter_read" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE oneof_index: 0
          type_name: ".bayline.testkit.v1.MeterRead" }
  field { name: "meter_corrected" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          oneof_index: 0 type_name: ".bayline.testkit.v1.MeterCorrected" }
  field { name: "car_returned" number: 4 label: LABEL_OPTIONAL type: TYPE_MESSAGE oneof_index: 0
          type_name: ".bayline.testkit.v1.CarReturned" }
  field { name: "loan_billed" number: 5 label: LABEL_OPTIONAL type: TYPE_MESSAGE oneof_index: 0
          type_name: ".bayline.testkit.v1.LoanBilled" } }
message_type { name: "CarLent"
  field { name: "car" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING
          options { [bayline.api.v1.rules] { resource: "cars" } } }
  field { name: "borrower" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".bayline.event.v1.Sensitive" }
  field { name: "lent_at" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".google.protobuf.Timestamp" } }
message_type { name: "MeterRead"
  field { name: "reading" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "metres" number: 2 label: LABEL_OPTIONAL type: TYPE_INT64 } }
message_type { name: "MeterCorrected"
  field { name: "reading" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
  field { name: "metres" number: 2 label: LABEL_OPTIONAL type: TYPE_INT64 }
  field { name: "read_at" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".google.protobuf.Timestamp" }
  field { name: "reasons" number: 4 label: LABEL_REPEATED type: TYPE_MESSAGE
          type_name: ".bayline.event.v1.Sensitive" } }
message_type { name: "CarReturned"
  field { name: "returned_at" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".google.protobuf.Timestamp" } }
message_type { name: "LoanBilled"
  field { name: "series" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
  field { name: "number" number: 2 label: LABEL_OPTIONAL type: TYPE_INT64 } }
"""


def declare(proto: str) -> dict[str, type[Message]]:
    """Message classes, by name, of a file that exists in a test only."""
    needed = (annotations_pb2.DESCRIPTOR, metadata_pb2.DESCRIPTOR, values_pb2.DESCRIPTOR)
    assert all(needed)
    file = text_format.Parse(proto, FileDescriptorProto())
    pool = Default()
    pool.AddSerializedFile(file.SerializeToString())
    declared = pool.FindFileByName(file.name).message_types_by_name
    return {name: GetMessageClass(kind) for name, kind in declared.items()}


MESSAGES = declare(PROTO)
LOAN_LOG = "bayline.testkit.v1.LoanEvent"


def loan_codec() -> OneofCodec[LoanEvent]:
    return OneofCodec(MESSAGES["LoanEvent"], get_args(LoanEvent))
