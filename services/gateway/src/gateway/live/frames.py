"""From a stored event to the frame a client gets: protobuf JSON, personal fields left sealed."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bayline.event.v1.event_log_service_pb2 import StoredEvent
from bayline.event.v1.metadata_pb2 import Metadata, Sensitive
from bayline.gateway.v1.gateway_service_pb2 import StreamFrame
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
    metadata = Metadata.FromString(event.meta)
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
    )
    found.data.update(payload(event.log, event.data))
    return found


def record_of(log: str, data: bytes) -> Message:
    return GetMessageClass(Default().FindMessageTypeByName(log)).FromString(data)


def payload(log: str, data: bytes) -> dict[str, Any]:
    """The message of the event's case, as protobuf JSON."""
    record = record_of(log, data)
    case = record.WhichOneof("event")
    if case is None:
        return {}
    payload = getattr(record, case)
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
