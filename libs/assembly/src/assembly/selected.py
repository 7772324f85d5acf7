"""Another service's events, as far as there is a use for them here."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from eventstore.mapping import Mapper
from messaging.envelope import Undecodable

E = TypeVar("E")


class Irrelevant(Enum):
    """Known, and of no use here: not the same as unknown."""

    IRRELEVANT = "irrelevant"


IRRELEVANT = Irrelevant.IRRELEVANT


class SelectedEvents(Generic[E]):
    """`events` are dataclasses named like cases of the record's oneof, with the fields of use."""

    def __init__(self, record_class: type[Message], events: Iterable[type[E]]) -> None:
        (oneof,) = record_class.DESCRIPTOR.oneofs
        self.log = record_class.DESCRIPTOR.full_name
        self._record_class = record_class
        self._oneof = oneof.name
        cases: dict[str, Any] = {case.message_type.name: case for case in oneof.fields}  # type: ignore[union-attr]  # cases are messages
        self._mappers = {
            cases[event.__name__].name: _partial(cases[event.__name__].message_type, event)
            for event in events
        }

    def decode(self, data: bytes) -> E | Irrelevant | None:
        """None for a case that this release does not know. Raises Undecodable."""
        try:
            record = self._record_class.FromString(data)
        except DecodeError as error:
            raise Undecodable(f"no {self.log}: {error}") from error
        case = record.WhichOneof(self._oneof)
        if case is None:
            return None
        mapper = self._mappers.get(case)
        return mapper.from_message(getattr(record, case)) if mapper else IRRELEVANT


def _partial(descriptor: Any, kind: type[Any]) -> Mapper[Any, Any]:
    """Of a message only what the dataclass has, and of messages within it likewise."""
    used = {each.name for each in fields(kind)}
    unused = {field.name for field in descriptor.fields} - used
    return Mapper(
        GetMessageClass(descriptor), kind, ignore=unused, nested=_within(descriptor, kind)
    )


def _within(descriptor: Any, kind: type[Any]) -> Iterator[Mapper[Any, Any]]:
    """Tuples of dataclasses; `Distance`, `Timeslot` and the like are whole values."""
    for name, hint in get_type_hints(kind).items():
        for inner in get_args(hint):
            if is_dataclass(inner) and isinstance(inner, type) and get_origin(hint) is tuple:
                yield _partial(descriptor.fields_by_name[name].message_type, inner)
