"""The protos' comments by full name, out of descriptors that kept their source information."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import TypeAlias

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from transcoding.descriptors import Reflected

Path: TypeAlias = tuple[int, ...]
Named: TypeAlias = Iterator[tuple[Path, str]]


@cache
def contract_comments() -> Mapping[str, str]:
    """The comments of Bayline's own protos, as the contracts package carries them."""
    return comments(files("bayline").joinpath("descriptors.binpb").read_bytes())


def comments(descriptors: bytes) -> Mapping[str, str]:
    """From a serialised FileDescriptorSet; what has no comment is absent."""
    found = {}
    for file in FileDescriptorSet.FromString(descriptors).file:
        names = dict(_file(file))
        for location in file.source_code_info.location:
            name = names.get(tuple(location.path))
            if name is not None and location.leading_comments:
                found[name] = paragraphs(location.leading_comments)
    return found


def paragraphs(comment: str) -> str:
    """Lines of a paragraph joined; a blank line between paragraphs, as in Markdown."""
    joined = (" ".join(part.split()) for part in re.split(r"\n\s*\n", comment))
    return "\n\n".join(part for part in joined if part)


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.?!])\s|[;:]\s", text, maxsplit=1)[0].rstrip(".;:")


def _file(file: FileDescriptorProto) -> Named:
    prefix = f"{file.package}." if file.package else ""
    yield from _each(file.message_type, (4,), prefix, _message)
    yield from _each(file.enum_type, (5,), prefix, _enum)
    yield from _each(file.service, (6,), prefix, _service)


def _each(protos: Iterable[Reflected], path: Path, prefix: str, within: Reflected) -> Named:
    """Every proto of a repeated field of a descriptor, and what is `within` each."""
    for index, proto in enumerate(protos):
        here = (*path, index)
        yield here, prefix + proto.name
        if within is not None:
            yield from within(proto, here, f"{prefix}{proto.name}.")


def _message(message: DescriptorProto, path: Path, prefix: str) -> Named:
    yield from _each(message.field, (*path, 2), prefix, None)
    yield from _each(message.nested_type, (*path, 3), prefix, _message)
    yield from _each(message.enum_type, (*path, 4), prefix, _enum)


def _enum(enum: EnumDescriptorProto, path: Path, prefix: str) -> Named:
    yield from _each(enum.value, (*path, 2), prefix, None)


def _service(service: ServiceDescriptorProto, path: Path, prefix: str) -> Named:
    yield from _each(service.method, (*path, 2), prefix, None)
