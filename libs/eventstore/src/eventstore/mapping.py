"""Dataclasses to protobuf messages and back: compiled once, checked at start-up, never by hand."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from hashlib import sha256
from types import NoneType, UnionType
from typing import Any, Generic, NewType, TypeAlias, TypeVar, Union, cast, get_args, get_origin
from typing import get_type_hints as hints_of

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from eventstore import conversion
from eventstore.conversion import (
    Context,
    Conversion,
    Hint,
    MappingMismatch,
    Read,
    Unmappable,
    Value,
    Write,
    no_way,
    pointing,
    resource_of,
)
from eventstore.sensitive import sensitive_in
from kernel.personal import Personal

M = TypeVar("M", bound=Message)
T = TypeVar("T")
E = TypeVar("E")

ReadField: TypeAlias = Callable[[Message, Context], Value]


class Undecodable(ValueError):
    """Stored bytes that this release cannot read."""


class UnknownCase(Undecodable):
    """An event, or a value in it, that a newer release has added."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    name: str
    wire: str
    json: str
    write: Write
    read: ReadField


class Mapper(Generic[M, T]):
    """Translates between a message type and a dataclass whose fields have the same names.

    Times are exact to the microsecond. Ids are bare inside and resource names (`jobs/<id>`) on
    the wire, as `(bayline.api.v1.rules).resource` says. Enum values match by name, without the
    prefix. `Optional` is presence; an absent id is the empty name, an absent enum UNSPECIFIED.
    `Personal` is a `Sensitive` in events and a string elsewhere (none if it is empty): words of
    `subject` coming in, the text or its erasure going out.

    `rename` maps a field of the dataclass to the field of the message; `ignore` names fields of
    the message that the dataclass has no use for; `given` names fields of the dataclass that the
    message does not have: the caller of `from_message` brings their values; `nested` brings
    mappers for inner messages that need any of these. Whatever else differs raises
    MappingMismatch here, and names both.
    """

    def __init__(
        self,
        message_class: type[M],
        dataclass: type[T],
        *,
        rename: Mapping[str, str] | None = None,
        ignore: Collection[str] = (),
        given: Collection[str] = (),
        nested: Iterable["Mapper[Any, Any]"] = (),
    ) -> None:
        self.message_class = message_class
        self.dataclass = dataclass
        self.given = frozenset(given)
        self._nested = {(each.message_class.DESCRIPTOR, each.dataclass): each for each in nested}
        self._plan = self._compiled(rename or {}, ignore)

    def to_message(self, value: T) -> M:
        """Nothing is set where the dataclass has None."""
        return self.message_class(
            **{
                each.wire: each.write(inner)
                for each in self._plan
                if (inner := getattr(value, each.name)) is not None
            }
        )

    def from_message(self, message: M, *, subject: str = "", **given: object) -> T:
        """Raises Unmappable, which points at the field. `subject` is whose words these are."""
        return self.read(message, Context(subject), **given)

    def read(self, message: M, context: Context, **given: object) -> T:
        try:
            found = {each.name: each.read(message, context) for each in self._plan}
            return self.dataclass(**found, **given)
        except (ValueError, Unmappable) as error:
            raise self._located(message, context, error) from error

    def _located(self, message: M, context: Context, error: Exception) -> Unmappable:
        """Reads again, field by field: only what fails has to know where it is."""
        for each in self._plan:
            try:
                each.read(message, context)
            except (ValueError, Unmappable) as here:
                return pointing(f"/{each.json}", here)
        return pointing("", error)

    def _compiled(self, rename: Mapping[str, str], ignore: Collection[str]) -> list[FieldPlan]:
        hints = hints_of(self.dataclass)
        wires = {
            each.name: rename.get(each.name, each.name)
            for each in fields(cast("Any", self.dataclass))
            if each.name not in self.given
        }
        there: dict[str, Any] = {each.name: each for each in self.message_class.DESCRIPTOR.fields}
        self._compare(set(wires.values()), there.keys() - set(ignore))
        return [self._field(name, there[wire], hints[name]) for name, wire in wires.items()]

    def _compare(self, ours: set[str], theirs: set[str]) -> None:
        if ours != theirs:
            raise MappingMismatch(
                f"{self.dataclass.__qualname__} and {self.message_class.DESCRIPTOR.full_name} "
                f"differ: only the dataclass has {sorted(ours - theirs)}, "
                f"only the message has {sorted(theirs - ours)}"
            )

    def _field(self, name: str, field: FieldDescriptor, hint: Hint) -> FieldPlan:
        inner, is_optional = _without_none(hint)
        converted = self._conversion(inner, field)
        if is_optional and not field.has_presence:
            read = _unless_empty(field, inner, converted.read)
        else:
            read = (_optional if is_optional else _always)(field, converted.read)
        return FieldPlan(name, field.name, field.json_name, converted.write, read)

    def _conversion(self, hint: Hint, field: FieldDescriptor) -> Conversion:
        if not field.is_repeated:
            return self._single(hint, field)
        container: Any = get_origin(hint)
        arguments = get_args(hint)
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            if container is dict or container is Mapping:
                return conversion.mapping(self._single(arguments[1], kind.fields_by_name["value"]))
        elif container is frozenset or (container is tuple and arguments[1:] == (...,)):
            return conversion.sequence(container, self._single(arguments[0], field))
        raise no_way(hint, field)

    def _single(self, hint: Hint, field: Any) -> Conversion:
        while isinstance(hint, NewType):
            hint = hint.__supertype__
        if hint is Personal:
            return conversion.personal(field)
        if field.enum_type is not None:
            return conversion.enum(hint, field.enum_type, field)
        if field.message_type is not None:
            return self._message(hint, field.message_type, field)
        return conversion.scalar(hint, field)

    def _message(self, hint: Hint, kind: Descriptor, field: FieldDescriptor) -> Conversion:
        if time := conversion.TIMES.get((hint, kind.full_name)):
            return time
        if not (is_dataclass(hint) and isinstance(hint, type)):
            raise no_way(hint, field)
        mapper = self._nested.get((kind, hint)) or Mapper(
            GetMessageClass(kind), hint, nested=self._nested.values()
        )
        return Conversion(mapper.to_message, mapper.read)


class OneofCodec(Generic[E]):
    """Events to record messages and back: a dataclass for each case of the record's `oneof`.

    A dataclass has the name of its case's message. A case that was replaced has an upcaster
    instead, by the full name of its message, which makes the message of its successor from it.
    Sealed words keep the version and field they were sealed for.
    """

    def __init__(
        self,
        record_class: type[Message],
        events: Iterable[type[E]],
        *,
        upcast: Mapping[str, Callable[[Any], Message]] | None = None,
        nested: Iterable[Mapper[Any, Any]] = (),
    ) -> None:
        (oneof,) = record_class.DESCRIPTOR.oneofs
        self.log = record_class.DESCRIPTOR.full_name
        self.dataschema = _schema_of(record_class)
        self._record_class = record_class
        self._oneof = oneof.name
        self._upcast = upcast or {}
        by_name = {event.__name__: event for event in events}
        cases = self._current_cases(oneof.fields)
        self._compare(set(by_name), set(cases))
        inner = tuple(nested)
        self._cases: Mapping[type[E], str] = {by_name[name]: cases[name].name for name in cases}
        self._mappers: Mapping[type[E], Mapper[Any, E]] = {
            by_name[name]: _mapper(cases[name].message_type, by_name[name], inner) for name in cases
        }
        self._by_type = {_type_of(mapper): mapper for mapper in self._mappers.values()}

    def encode(self, event: E) -> Message:
        """The record message, personal words not yet sealed."""
        kind = type(event)
        return self._record_class(**{self._cases[kind]: self._mappers[kind].to_message(event)})

    def type_of(self, event: E) -> str:
        """Full name of the message of the event's case."""
        return _type_of(self._mappers[type(event)])

    def decode(self, type_name: str, data: bytes, version: int) -> E:
        """Raises UnknownCase for a case or a value that this release does not have, else Undecodable."""
        try:
            record = self._record_class.FromString(data)
        except DecodeError as error:
            raise Undecodable(f"{type_name}: {error}") from error
        case = record.WhichOneof(self._oneof)
        if case is None:
            if type_name in self._upcast or type_name in self._by_type:
                raise Undecodable(f"{type_name}: nothing is in it")
            raise UnknownCase(type_name)
        stored: Message = getattr(record, case)
        places = {words.nonce: field for field, words in sensitive_in(stored) if words.key_id}
        message = self._upcasted(stored)
        try:
            return self._by_type[message.DESCRIPTOR.full_name].read(
                message, Context(version=version, places=places)
            )
        except Unmappable as error:
            kind = UnknownCase if error.newer else Undecodable
            raise kind(f"{type_name}: {error.violations}") from error

    def _upcasted(self, message: Message) -> Message:
        while upcast := self._upcast.get(message.DESCRIPTOR.full_name):
            message = upcast(message)
        return message

    def _current_cases(self, cases: Iterable[Any]) -> Mapping[str, Any]:
        return {
            case.message_type.name: case
            for case in cases
            if case.message_type.full_name not in self._upcast
        }

    def _compare(self, ours: set[str], theirs: set[str]) -> None:
        if ours != theirs:
            raise MappingMismatch(
                f"the events and the cases of {self.log} differ: only dataclasses are "
                f"{sorted(ours - theirs)}, only messages are {sorted(theirs - ours)}"
            )


def _mapper(kind: Descriptor, event: type[E], inner: tuple[Mapper[Any, Any], ...]) -> Mapper[Any, E]:  # fmt: skip
    given = (each for each in inner if each.dataclass is event)
    return next(given, None) or Mapper(GetMessageClass(kind), event, nested=inner)


def _type_of(mapper: Mapper[Any, Any]) -> str:
    name: str = mapper.message_class.DESCRIPTOR.full_name
    return name


def _schema_of(record_class: type[Message]) -> str:
    """Full name, and a digest of the file that declares it, as this release knows it."""
    descriptor = record_class.DESCRIPTOR
    return f"{descriptor.full_name}@{sha256(descriptor.file.serialized_pb).hexdigest()[:16]}"


def _without_none(hint: Hint) -> tuple[Hint, bool]:
    if get_origin(hint) not in {Union, UnionType}:
        return hint, False
    inner = [each for each in get_args(hint) if each is not NoneType]
    return (inner[0], True) if len(inner) == 1 else (hint, False)


def _optional(field: FieldDescriptor, read: Read) -> ReadField:
    name = field.name
    return lambda message, context: (
        read(getattr(message, name), context) if message.HasField(name) else None
    )


def _unless_empty(field: FieldDescriptor, hint: Hint, read: Read) -> ReadField:
    """Ids, enums and words of a person say nothing when they are empty."""
    name = field.name
    if field.enum_type is None and not resource_of(field) and hint is not Personal:
        raise MappingMismatch(f"{field.full_name} must be `optional`: its dataclass has None")
    return lambda message, context: (
        read(value, context) if (value := getattr(message, name)) else None
    )


def _always(field: FieldDescriptor, read: Read) -> ReadField:
    """A span of time that is not given is no time at all, as numbers are 0."""
    name = field.name
    kind = field.message_type
    if not field.has_presence or (kind is not None and kind.full_name == conversion.DURATION):
        return lambda message, context: read(getattr(message, name), context)

    def present(message: Message, context: Context) -> Value:
        if not message.HasField(name):
            raise ValueError("is required")
        return read(getattr(message, name), context)

    return present
