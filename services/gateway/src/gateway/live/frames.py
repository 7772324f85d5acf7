"""From a stored event to the frame a client gets: protobuf JSON, personal fields left sealed."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bayline.event.v1.event_log_service_pb2 import StoredEvent
from bayline.event.v1.metadata_pb2 import Metadata, Sensitive
from bayline.gateway.v1.gateway_service_pb2 import StreamFrame
from bayline.type.v1.values_pb2 import (
    UNREAD_DAMAGED,
    UNREAD_NEWER_RELEASE,
    UNREAD_UNSPECIFIED,
    Unread,
)
from messaging.envelope import Envelope
from transcoding.encoding import encoder_of


def of_envelope(envelope: Envelope) -> StoredEvent:
    """The same event as the store would answer it, so that live and replayed frames are equal."""
    event = StoredEvent(
        log=envelope.topic,
        shard=envelope.shard,
        pos=envelope.pos,
        tenant=envelope.tenant,
        stream=envelope.stream,
        version=envelope.version,
        event_id=envelope.event_id,
        type=envelope.type,
        data=envelope.data,
        meta=envelope.meta,
    )
    event.occurred_at.FromDatetime(envelope.occurred_at)
    event.recorded_at.FromDatetime(envelope.recorded_at)
    return event


def frame(event: StoredEvent, cursor: str) -> StreamFrame:
    metadata, (data, unread) = metadata_of(event.meta), payload(event)
    found = StreamFrame(
        cursor=cursor,
        type=event.type,
        topic=event.log,
        event_id=event.event_id,
        stream=event.stream,
        version=event.version,
        site=f"sites/{metadata.site}" if metadata.site else "",
        actor=metadata.actor,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        correlation_id=metadata.correlation_id,
        unread=unread,
    )
    found.data.update(data)
    return found


def metadata_of(meta: bytes) -> Metadata:
    """Damaged, it says nothing: no site, so that only who sees all sites sees the event."""
    try:
        return Metadata.FromString(meta)
    except DecodeError:
        return Metadata()


def payload(event: StoredEvent) -> tuple[dict[str, Any], Unread.ValueType]:
    """The message of the event's case, as protobuf JSON; or nothing, and why."""
    try:
        case = _case_of(event)
        return ({}, UNREAD_NEWER_RELEASE) if case is None else (_sealed(case), UNREAD_UNSPECIFIED)
    except (DecodeError, ValueError, OverflowError):
        return {}, UNREAD_DAMAGED


def _case_of(event: StoredEvent) -> Message | None:
    """None for a kind that this release does not know."""
    kind = Default().FindMessageTypeByName(event.log)
    record = GetMessageClass(kind).FromString(event.data)
    case = record.WhichOneof("event")
    if case is None and event.type in _types_of(kind):
        raise ValueError(f"nothing is in the {event.type}")
    found: Message | None = getattr(record, case) if case else None
    return found


@cache
def _types_of(record: Descriptor) -> frozenset[str]:
    cases = (case.message_type for case in record.oneofs_by_name["event"].fields)
    return frozenset(case.full_name for case in cases if case is not None)


def _sealed(payload: Message) -> dict[str, Any]:
    for sensitive in _sensitive(payload):
        sensitive.ClearField("nonce")
        sensitive.ClearField("ciphertext")
    encoded: dict[str, Any] = encoder_of(payload.DESCRIPTOR)(payload)
    return encoded


def _sensitive(message: Message) -> Iterator[Sensitive]:
    """Every sealed field, however deep."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for each in value if field.is_repeated else [value]:
            if isinstance(each, Sensitive):
                yield each
            else:
                yield from _sensitive(each)
