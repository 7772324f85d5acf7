"""Every event log there is, as the contracts tell: a new event or log needs no line of code here."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from google.protobuf.descriptor_pb2 import FileDescriptorSet


@cache
def logs() -> tuple[str, ...]:
    """Every event log, and so every topic: the messages that hold one `event` out of several."""
    described = FileDescriptorSet.FromString(
        files("bayline").joinpath("descriptors.binpb").read_bytes()
    )
    return tuple(sorted(_record_messages(described)))


def _record_messages(described: FileDescriptorSet) -> Iterator[str]:
    for file in described.file:
        for message in file.message_type:
            if any(oneof.name == "event" for oneof in message.oneof_decl):
                yield f"{file.package}.{message.name}"


def owner_of(log: str) -> str:
    """The service whose database holds the log: `bayline.workshop.v1.JobEvent` -> workshop."""
    return log.split(".")[1]
