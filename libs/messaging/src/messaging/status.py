"""Whether a consumer runs or was halted, and how a person sets it going again."""

from dataclasses import dataclass
from datetime import datetime

from messaging.cursor import Diverged, Pool, Transaction
from messaging.envelope import SHARDS, genesis
from messaging.telemetry import UNKNOWN

REGISTER = "INSERT INTO consumer.status (name) VALUES (%s) ON CONFLICT DO NOTHING"
READ = """
SELECT name, state, reason, log, epoch, rebuild_needed, since FROM consumer.status
WHERE name = %s"""
HALT = """
UPDATE consumer.status
SET state = 'halted', reason = %s, log = %s, epoch = %s, since = clock_timestamp()
WHERE name = %s AND state = 'running' AND (%s = '' OR EXISTS (
  SELECT FROM consumer.cursor c WHERE c.name = status.name AND c.log = %s AND c.epoch = %s))"""
RESUME = """
UPDATE consumer.status
SET state = 'running', reason = '', since = clock_timestamp()
WHERE name = %s AND state = 'halted' AND epoch = %s RETURNING log"""
DOUBT = """
INSERT INTO consumer.cursor AS c (name, log, shard, pos, hash, epoch, unproven)
SELECT %s, %s, s.shard, 0, s.hash, %s, true FROM unnest(%s::smallint[], %s::bytea[]) s(shard, hash)
ON CONFLICT (name, log, shard) DO UPDATE SET epoch = excluded.epoch, unproven = true"""
COUNT_UNKNOWN = """
WITH beside AS (
  UPDATE consumer.generation SET skipped = skipped + %(events)s
  WHERE name = %(name)s AND state = 'following')
UPDATE consumer.status SET rebuild_needed = rebuild_needed + %(events)s WHERE name = %(name)s"""
CLEAR = """
WITH old AS (
  SELECT name, rebuild_needed FROM consumer.status s WHERE name = %(name)s AND rebuild_needed > 0
    AND NOT EXISTS (SELECT FROM consumer.generation g WHERE g.name = s.name) FOR UPDATE),
new AS (UPDATE consumer.status s SET rebuild_needed = 0 FROM old WHERE s.name = old.name)
INSERT INTO consumer.cleared (name, events, cleared_by, reason)
SELECT name, rebuild_needed, %(who)s, %(reason)s FROM old RETURNING events"""


class NotHalted(Exception):
    """The consumer is not halted on that epoch: nothing was changed."""


class NothingToClear(Exception):
    """The consumer passed nothing over, or has a read model, which is built anew instead."""


@dataclass(frozen=True, slots=True)
class Status:
    name: str
    state: str
    reason: str
    log: str
    epoch: str
    rebuild_needed: int
    since: datetime

    @property
    def halted(self) -> bool:
        return self.state == "halted"


async def register(tx: Transaction, name: str) -> Status:
    await tx.execute(REGISTER, (name,))
    found = await (await tx.execute(READ, (name,))).fetchone()
    if found is None:
        raise LookupError(name)
    return Status(*found)


async def halt(pool: Pool, name: str, why: Diverged) -> bool:
    """False: it is halted already, or the new epoch was accepted before the consumer met it."""
    values = why.reason, why.log, why.epoch, name, why.under, why.log, why.under
    async with pool.connection() as connection:
        return (await connection.execute(HALT, values)).rowcount > 0


async def resume(pool: Pool, name: str, epoch: str) -> None:
    """Lets a halted consumer go on under `epoch`, which must be the one that it met.

    It does not take the topic's word: first it reads the store from each cursor to the end, and
    halts again unless the store holds what the consumer read last.
    """
    async with pool.connection() as connection, connection.transaction():
        resumed = await (await connection.execute(RESUME, (name, epoch))).fetchone()
        if resumed is None:
            raise NotHalted(f"{name} is not halted on epoch {epoch}")
        await _doubt(connection, name, resumed[0], epoch)


async def accept(pool: Pool, name: str, log: str, epoch: str) -> None:
    """What `resume` does, for a consumer that has not met the epoch yet: it will not halt on it."""
    async with pool.connection() as connection, connection.transaction():
        await _doubt(connection, name, log, epoch)
        await connection.execute(RESUME, (name, epoch))  # if it met it just now


async def _doubt(tx: Transaction, name: str, log: str, epoch: str) -> None:
    shards = list(range(SHARDS))
    hashes = [genesis(log, shard) for shard in shards]
    await tx.execute(DOUBT, (name, log, epoch, shards, hashes))


async def passed_over(tx: Transaction, name: str, events: int) -> None:
    """Events of a kind that this release does not know: a later one must rebuild the read model."""
    await tx.execute(COUNT_UNKNOWN, {"events": events, "name": name})
    UNKNOWN.add(events, {"bayline.consumer": name})


async def clear(pool: Pool, name: str, *, who: str, reason: str) -> int:
    """A person has seen to what a reaction passed over; who and why is kept. Returns how many."""
    asked = {"name": name, "who": who, "reason": reason}
    async with pool.connection() as connection:
        found = await (await connection.execute(CLEAR, asked)).fetchone()
    if found is None:
        raise NothingToClear(f"{name} has passed nothing over, or has a read model to build anew")
    return int(found[0])
