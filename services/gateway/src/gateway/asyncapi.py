"""The AsyncAPI document of all topics: what `bayline topics --asyncapi` prints."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from google.protobuf.descriptor import Descriptor

from messaging.admin import DLQ_KEPT
from messaging.envelope import PARTITIONS
from transcoding.asyncapi import Topics, document

EXAMPLE = "127.0.0.1:8092"  # where the local stack has its broker


def build(records: Iterable[Descriptor]) -> dict[str, Any]:
    """The same contract gives the same bytes."""
    topics = Topics(PARTITIONS, DLQ_KEPT, EXAMPLE)
    return document(records, "Bayline's events", version("bayline-gateway"), topics)
