"""Where a message holds personal words: the path of each `Sensitive` within it."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TypeAlias, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from bayline.event.v1.metadata_pb2 import Sensitive

Walk: TypeAlias = Callable[[Message, str], Iterator[tuple[str, Sensitive]]]

SENSITIVE = Sensitive.DESCRIPTOR.full_name


def sensitive_in(message: Message) -> Iterable[tuple[str, Sensitive]]:
    """Each `Sensitive` that is set, with its field: stored type name, then field numbers.

    `bayline.workshop.v1.EstimateIssued/3[0]/3` is the description of the first line. The field
    binds the ciphertext to its place, so this format is for ever.
    """
    walk = _walk_of(message.DESCRIPTOR)
    return walk(message, message.DESCRIPTOR.full_name) if walk else ()


@cache
def _walk_of(descriptor: Descriptor) -> Walk | None:
    """Compiled once per message type; None if there is nothing to find."""
    steps = [step for field in descriptor.fields if (step := _step(field, descriptor)) is not None]
    if not steps:
        return None

    def walk(message: Message, path: str) -> Iterator[tuple[str, Sensitive]]:
        for step in steps:
            yield from step(message, path)

    return walk


def _step(field: FieldDescriptor, parent: Descriptor) -> Walk | None:
    if field.message_type is None or field.message_type is parent:
        return None
    below = _here if field.message_type.full_name == SENSITIVE else _walk_of(field.message_type)
    if below is None:
        return None
    if field.message_type.GetOptions().map_entry:
        raise TypeError(f"{field.full_name}: no personal words in a map, its order is not kept")
    return _each(field, below) if field.is_repeated else _only(field, below)


def _here(message: Message, path: str) -> Iterator[tuple[str, Sensitive]]:
    yield path, cast("Sensitive", message)


def _only(field: FieldDescriptor, below: Walk) -> Walk:
    name, number = field.name, field.number

    def step(message: Message, path: str) -> Iterator[tuple[str, Sensitive]]:
        if message.HasField(name):
            yield from below(getattr(message, name), f"{path}/{number}")

    return step


def _each(field: FieldDescriptor, below: Walk) -> Walk:
    name, number = field.name, field.number

    def step(message: Message, path: str) -> Iterator[tuple[str, Sensitive]]:
        for index, element in enumerate(getattr(message, name)):
            yield from below(element, f"{path}/{number}[{index}]")

    return step
