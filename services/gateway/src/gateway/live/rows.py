"""Rows of exports: an event, or what a stream folds to, as a line of JSON."""

from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

from bayline.api.v1 import annotations_pb2
from bayline.event.v1.event_log_service_pb2 import FoldedStream, StoredEvent
from bayline.type.v1.values_pb2 import Unread
from gateway.live import frames
from gateway.live.columns import NEVER
from transcoding.encoding import encoder_of


def of_event(event: StoredEvent) -> bytes:
    """As a frame of the stream tells it, without the cursor."""
    metadata, (data, unread) = frames.metadata_of(event.meta), frames.payload(event)
    return _line(
        {
            "eventId": event.event_id,
            "type": event.type,
            "stream": event.stream,
            "version": event.version,
            "site": f"sites/{metadata.site}" if metadata.site else "",
            "actor": metadata.actor,
            "occurredAt": _json(event.occurred_at),
            "recordedAt": _json(event.recorded_at),
            "correlationId": metadata.correlation_id,
            "data": data,
            "unread": Unread.Name(unread),
        }
    )


def of_stream(resource: Descriptor, folded: FoldedStream) -> bytes:
    """One that could not be folded is there with its problem, and without fields."""
    message = GetMessageClass(resource).FromString(folded.data)
    fields = {} if folded.problem else _json(message)
    return _line(
        {
            "stream": folded.stream,
            "version": folded.version,
            "changedAt": _json(folded.changed_at),
            "problem": folded.problem,
            **{name: value for name, value in fields.items() if name not in NEVER},
        }
    )


def resource_of(topic: str) -> Descriptor:
    """What a stream of the topic folds to, as its record message says."""
    record = Default().FindMessageTypeByName(topic)
    name: str = record.GetOptions().Extensions[annotations_pb2.folds_to]
    return Default().FindMessageTypeByName(name)


def _json(message: Any) -> Any:
    return encoder_of(message.DESCRIPTOR)(message)


def _line(document: Mapping[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
