"""The AsyncAPI 3 document of the topics, out of the descriptors of their records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.descriptor import Descriptor

from transcoding.comments import contract_comments, first_sentence
from transcoding.descriptors import Json
from transcoding.schemas import Schemas, reachable

PROTOBUF = "application/protobuf"
HEADERS: Mapping[str, str] = {
    "content-type": f"Always `{PROTOBUF}`.",
    "ce_specversion": "Version of CloudEvents, in binary mode.",
    "ce_id": "Id of the event, a UUIDv7. The same event may come again; this tells.",
    "ce_source": "The service it comes from.",
    "ce_type": "Full name of the message of the event's case.",
    "ce_subject": "The stream, a UUID.",
    "ce_time": "When it happened in the shop.",
    "ce_dataschema": "Full name of the record message, and a digest of the file that declares it.",
    "ce_partitionkey": "The record's key, `tenant/stream`.",
    "ce_tenant": "Whose it is.",
    "ce_site": "The site, if the stream has one.",
    "ce_streamver": "1..m within the stream.",
    "ce_shard": "0 to 63. The partition is the shard modulo the number of partitions.",
    "ce_pos": "1..n without holes within the shard: who reads it knows what he missed.",
    "ce_storeepoch": "New after every restore of the store.",
    "ce_prevhash": "The hash chain of the shard before this event, in hexadecimal digits.",
    "ce_recordedat": "When the store learned it.",
    "ce_correlationid": "Ties together what one request set in motion.",
    "ce_causationid": "The event or request right before.",
    "traceparent": "The W3C trace context of the command, if it had one.",
    "bayline-meta": "`bayline.event.v1.Metadata`, as it is stored and hashed.",
}
SOMETIMES = frozenset(
    {"ce_site", "ce_dataschema", "ce_correlationid", "ce_causationid", "traceparent"}
)
ENVELOPE: dict[str, Json] = {
    "contentType": PROTOBUF,
    "headers": {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": said} for name, said in HEADERS.items()
        },
        "required": [name for name in HEADERS if name not in SOMETIMES],
    },
    "bindings": {
        "kafka": {
            "key": {"type": "string", "description": "`tenant/stream`"},
            "bindingVersion": "0.5.0",
        }
    },
}
DLQ = "What consumers could not apply, as it came, with who parked it and why in its headers."


@dataclass(frozen=True, slots=True)
class Topics:
    """What is the same for all topics; events are kept for ever."""

    partitions: int
    dlq_kept: timedelta
    bootstrap: str  # what readers connect to; empty where that differs from reader to reader


def document(
    records: Iterable[Descriptor],
    title: str,
    version: str,
    topics: Topics,
    comments: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    """The document; the same descriptors give the same bytes. A record is one `event` of several."""
    found = sorted(records, key=lambda record: record.full_name)
    said = contract_comments() if comments is None else comments
    schemas = Schemas(said, {}, reachable(found))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": ABOUT},
        "defaultContentType": PROTOBUF,
        "servers": {"kafka": _server(topics)},
        "channels": dict(_channels(found, said, topics)),
        "operations": dict(_operations(found)),
        "components": {
            "messages": dict(_messages(found, said, schemas)),
            "messageTraits": {"cloudEvent": ENVELOPE},
            "schemas": dict(sorted(schemas.components.items())),
        },
    }


def _server(topics: Topics) -> dict[str, Json]:
    variable = {"description": "Where the brokers are."}
    if topics.bootstrap:
        variable["default"] = topics.bootstrap
    return {"host": "{bootstrap}", "protocol": "kafka", "variables": {"bootstrap": variable}}


def _channels(
    records: Sequence[Descriptor], said: Mapping[str, str], topics: Topics
) -> Iterator[tuple[str, Json]]:
    for record in records:
        about = said.get(record.full_name, "")
        yield record.full_name, _channel(record, record.full_name, about, topics, None)
        dlq = f"{record.full_name}.dlq"
        yield dlq, _channel(record, dlq, DLQ, topics, topics.dlq_kept)


def _channel(
    record: Descriptor, address: str, about: str, topics: Topics, kept: timedelta | None
) -> dict[str, Json]:
    milliseconds = -1 if kept is None else kept // timedelta(milliseconds=1)
    return {
        "address": address,
        "description": about,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {
            case.name: {"$ref": f"#/components/messages/{case.full_name}"}
            for case in cases(record).values()
        },
        "bindings": {
            "kafka": {
                "topic": address,
                "partitions": topics.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": milliseconds,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations(records: Sequence[Descriptor]) -> Iterator[tuple[str, Json]]:
    """What this application does: it publishes. Who reads the document receives."""
    for record in records:
        channel = f"#/channels/{record.full_name}"
        yield (
            f"publish{record.name}",
            {
                "action": "send",
                "channel": {"$ref": channel},
                "messages": [
                    {"$ref": f"{channel}/messages/{case.name}"} for case in cases(record).values()
                ],
            },
        )


def _messages(
    records: Sequence[Descriptor], said: Mapping[str, str], schemas: Schemas
) -> Iterator[tuple[str, Json]]:
    for record in records:
        for field, case in cases(record).items():
            about = said.get(case.full_name, "")
            yield (
                case.full_name,
                {
                    "name": case.full_name,
                    "title": case.name,
                    "summary": first_sentence(about),
                    "description": about,
                    "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
                    "payload": _payload(field, schemas.answered(case)),
                    "x-protobuf-message": record.full_name,
                },
            )


def _payload(field: str, case: Json) -> dict[str, Json]:
    """The record with this case set, in protobuf's JSON form."""
    return {
        "type": "object",
        "properties": {field: case},
        "required": [field],
        "additionalProperties": False,
    }


def cases(record: Descriptor) -> Mapping[str, Descriptor]:
    """The messages of the record's `event`, by their names as fields in JSON."""
    return {
        field.json_name: field.message_type
        for field in record.oneofs_by_name["event"].fields
        if field.message_type is not None
    }


ABOUT = """\
Every event of Bayline, as it stands in the store of its service and on Kafka: one topic for each kind of aggregate,
kept for ever. The value of a record is a protobuf message with one case of its `event` set; payloads are shown here
in protobuf's JSON form. Whatever is personal is sealed, and stays so.

Order is exact within a stream and within a partition. Delivery is at least once: `ce_shard` and `ce_pos` say whether
an event was seen, and whether one is missing. A case that a reader does not know is to be skipped.
"""
