"""Messages to commands and events, and states to resources."""

from typing import TypeAlias
from uuid import UUID

from bayline.keyring.v1 import keyring_service_pb2 as service_pb
from bayline.keyring.v1 import subject_pb2 as pb
from eventstore.mapping import OneofCodec
from eventstore.tables import Table
from keyring.domain.subject import (
    SUBJECT,
    ForgetSubject,
    Forgotten,
    State,
    SubjectEvent,
    SubjectForgotten,
    SubjectName,
)

Request: TypeAlias = service_pb.ErasePersonRequest | service_pb.RedactJobRequest

EVENTS: OneofCodec[SubjectEvent] = OneofCodec(pb.SubjectEvent, (SubjectForgotten,))


def command(request: Request) -> ForgetSubject:
    return ForgetSubject(SubjectName(request.name), request.reference)


def resource(name: str, version: int, state: State) -> pb.Subject:
    forgotten = isinstance(state, Forgotten)
    reference = state.reference if isinstance(state, Forgotten) else ""
    return pb.Subject(name=name, etag=str(version), forgotten=forgotten, reference=reference)


def row(stream: UUID, version: int, state: State) -> pb.Subject | None:
    return resource(state.subject, version, state) if isinstance(state, Forgotten) else None


TABLE = Table(EVENTS, SUBJECT, row)
