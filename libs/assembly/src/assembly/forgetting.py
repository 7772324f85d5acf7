"""Keys of forgotten subjects, dropped from this process as soon as it hears of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from assembly.rows import Transaction
from assembly.selected import IRRELEVANT, SelectedEvents
from bayline.keyring.v1.subject_pb2 import SubjectEvent
from messaging.envelope import Envelope


class Words(Protocol):
    def drop(self, tenant: str, subject: str) -> None: ...


@dataclass(frozen=True, slots=True)
class SubjectForgotten:
    subject: str


EVENTS: SelectedEvents[SubjectForgotten] = SelectedEvents(SubjectEvent, (SubjectForgotten,))


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A projection (`messaging.parking.Projection`) onto memory.

    Of several processes of a service one hears of it; the others forget within the minute that
    a key is kept for.
    """

    name: str
    words: Words

    def decode(self, envelope: Envelope) -> object | None:
        return EVENTS.decode(envelope.data)

    async def apply(self, tx: Transaction, batch: Sequence[tuple[Envelope, Any]]) -> None:
        for envelope, event in batch:
            if event is not IRRELEVANT:
                self.words.drop(envelope.tenant, event.subject)
