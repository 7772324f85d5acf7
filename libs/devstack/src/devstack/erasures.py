"""Who was forgotten: a list that outlives every backup, and is applied again to an older one."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from psycopg import Connection

from bayline.event.v1.metadata_pb2 import Metadata
from bayline.keyring.v1.subject_pb2 import SubjectEvent
from devstack.failure import StackFailure

LOG = SubjectEvent.DESCRIPTOR.full_name
EVENTS = """
SELECT event_id::text, tenant, stream::text, type, occurred_at::text, data, meta
  FROM es.event WHERE log = %s ORDER BY recorded_at, shard, pos"""
IS_FORGOTTEN = "SELECT FROM es.event WHERE log = %s AND tenant = %s AND stream = %s"
FORGET = """
SELECT es.append(
  %s, %s, %s, 0, %s, sha256(%s::bytea), ARRAY[%s::uuid], ARRAY[%s], ARRAY[%s::timestamptz],
  ARRAY[%s::bytea], ARRAY[%s::bytea], '{forgotten}', '{forgotten}', ARRAY[%s], '{"(,)"}')"""
ANYBODY = "SELECT EXISTS (SELECT FROM keyring.subject_key)"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One event of the keyring's log; `data` and `meta` are its bytes, in base64."""

    event_id: str
    tenant: str
    subject: str
    reference: str
    by: str
    at: str
    stream: str
    type: str
    data: str
    meta: str


def knows_anybody(keyring: Connection) -> bool:
    """Whether this keyring has ever been used: an empty one cannot tell who was forgotten."""
    [found] = keyring.execute(ANYBODY).fetchone() or (False,)
    return bool(found)


def recorded(keyring: Connection) -> list[Erasure]:
    return [_erasure(*row) for row in keyring.execute(EVENTS, [LOG])]


def written(file: Path) -> list[Erasure]:
    """A list as `bayline privacy list --json` printed it."""
    try:
        return [Erasure(**each) for each in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise StackFailure(
            f"{file} is no list of erasures: {error}",
            hint="it is what `bayline privacy list --json` prints",
        ) from error


def document(erasures: Iterable[Erasure]) -> list[dict[str, str]]:
    return [asdict(each) for each in erasures]


def apply(keyring: Connection, erasures: Iterable[Erasure]) -> Sequence[Erasure]:
    """Forgets again whom this keyring remembers: the same event, and the key goes with it."""
    remembered = {each.event_id: each for each in erasures if not _is_forgotten(keyring, each)}
    for each in remembered.values():
        data, meta = base64.b64decode(each.data), base64.b64decode(each.meta)
        keyring.execute(
            FORGET,
            (
                *(LOG, each.tenant, each.stream, f"forgotten/{each.event_id}", data),
                *(each.event_id, each.type, each.at, data, meta, each.subject),
            ),
        )
    return list(remembered.values())


def _is_forgotten(keyring: Connection, erasure: Erasure) -> bool:
    place = (LOG, erasure.tenant, erasure.stream)
    return bool(keyring.execute(IS_FORGOTTEN, place).rowcount)


def _erasure(  # the columns of EVENTS
    event_id: str, tenant: str, stream: str, kind: str, at: str, data: bytes, meta: bytes
) -> Erasure:
    forgotten = SubjectEvent.FromString(data).subject_forgotten
    return Erasure(
        event_id=event_id,
        tenant=tenant,
        subject=forgotten.subject,
        reference=forgotten.reference,
        by=Metadata.FromString(meta).actor,
        at=at,
        stream=stream,
        type=kind,
        data=base64.b64encode(data).decode(),
        meta=base64.b64encode(meta).decode(),
    )
