"""Events that this release cannot read, put into a store: what a newer one wrote, what was spoiled."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from kernel.clock import SystemClock
from kernel.ids import Uuid7

NEWER = b"\xfa\x3e\x00"  # field 1007, which no record of ours has
SPOILED = b"\xff"

APPEND = """
SELECT o_ver FROM es.append(
  %s, %s, %s::uuid, (SELECT coalesce(max(ver), 0) FROM es.read(%s, %s, %s::uuid, '')), %s, %s::bytea,
  ARRAY[%s::uuid], ARRAY[%s], ARRAY[%s::timestamptz], ARRAY[%s::bytea], ARRAY[%s::bytea],
  '{}', '{}', '{}', '{}')
"""


def newer_type(log: str) -> str:
    """The full name of an event that the log's record message has no case for."""
    return f"{log.rpartition('.')[0]}.SomethingNew"


async def append_unread(
    pool: AsyncConnectionPool[AsyncConnection[Any]],
    log: str,
    tenant: str,
    stream: UUID | str,
    *,
    data: bytes = NEWER,
    meta: bytes = b"",
    key: str = "",
) -> int:
    """Appends it as the service's own role would, and returns its version."""
    ids, place = Uuid7(), (log, tenant, str(stream))
    key = key or str(ids.new())
    event = (ids.new(), newer_type(log), SystemClock().now(), data, meta)
    async with pool.connection() as connection:
        found = await connection.execute(APPEND, (*place, *place, key, key.encode(), *event))
        ((version,),) = await found.fetchall()
    return int(version)
