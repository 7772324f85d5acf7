"""What is stored beside each event: bayline.event.v1.Metadata, as bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

from bayline.event.v1 import metadata_pb2
from eventstore.conversion import timestamp_of
from eventstore.store import Metadata, New


def metas_of(
    events: Sequence[New[Any]],
    metadata: Metadata,
    *,
    site: str,
    dataschema: str,
    fact_versions: Mapping[str, int],
) -> list[bytes]:
    """One for each event; they differ where a device's time was raised."""
    meta = metadata_pb2.Metadata(
        actor=metadata.actor,
        request_id=metadata.request_id,
        correlation_id=metadata.correlation_id,
        causation_id=metadata.causation_id,
        traceparent=metadata.traceparent,
        site=site,
        dataschema=dataschema,
        fact_versions=fact_versions,
    )
    metas = []
    for new in events:
        meta.ClearField("device_time")
        if new.device_time is not None:
            meta.device_time.CopyFrom(timestamp_of(new.device_time))
        metas.append(meta.SerializeToString(deterministic=True))
    return metas
