"""Stored columns to an event, or to the mention of one that this release cannot read."""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

from eventstore.mapping import OneofCodec, Undecodable, UnknownCase
from eventstore.store import Recorded, Unread

E = TypeVar("E")


def decoded(
    codec: OneofCodec[E],
    version: int,
    kind: str,
    occurred_at: datetime,
    recorded_at: datetime,
    event_id: UUID,
    data: bytes,
    meta: bytes,
) -> Recorded[E] | Unread:
    """One that cannot be read is no reason to read no other."""
    try:
        event = codec.decode(kind, data, version)
    except UnknownCase:
        return Unread(version, kind, occurred_at, recorded_at, event_id, meta)
    except Undecodable as error:
        return Unread(version, kind, occurred_at, recorded_at, event_id, meta, str(error))
    return Recorded(version, event, occurred_at, recorded_at, event_id, meta)
