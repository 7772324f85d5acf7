"""Protobuf JSON both ways, compiled once per message type; all violations at once."""

from collections.abc import Callable

from google.protobuf.message import Message

from kernel.errors import Violation
from transcoding.descriptors import Json
from transcoding.encoding import encoder_of
from transcoding.parsing import parser_of

__all__ = ["encoder", "encoder_of", "parser", "parser_of"]


def encoder(message: type[Message]) -> Callable[[Message], Json]:
    """Fields without presence are always written, so that a client sees a stable shape."""
    return encoder_of(message.DESCRIPTOR)


def parser(message: type[Message]) -> Callable[[Json, Message], list[Violation]]:
    """Fills a fresh message and answers every violation, each with its JSON pointer."""
    fill = parser_of(message.DESCRIPTOR)

    def parse(document: Json, target: Message) -> list[Violation]:
        violations: list[Violation] = []
        fill(document, target, "", violations)
        return violations

    return parse
