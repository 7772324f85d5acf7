"""The AsyncAPI document of all topics: what `bayline topics --asyncapi` prints."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from google.protobuf.descriptor import Descriptor

from messaging.admin import DLQ_KEPT
from messaging.envelope import PARTITIONS
from transcoding.asyncapi import Topics, document


def build(records: Iterable[Descriptor], broker: str) -> dict[str, Any]:
    """The same contract gives the same bytes. `broker` may be empty: the reader knows it then."""
    topics = Topics(PARTITIONS, DLQ_KEPT, broker)
    return document(records, "Bayline's events", version("bayline-gateway"), topics)
