"""From the store to Kafka, in order, at least once: crash-only, it forgets nothing it has to know."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

import structlog

from kernel.backoff import Backoff
from kernel.clock import Clock, SystemClock
from messaging.envelope import Row, envelope_from
from messaging.failpoint import hit
from messaging.kafka import Publish, Publisher
from messaging.telemetry import OUTBOX_AGE

LEASE_SECONDS = 1.0  # asked for anew this often; it lasts three times as long
QUICK_SECONDS, SLOW_SECONDS = 0.002, 0.2  # an append of this process pokes
PACE_SECONDS = 0.025  # between batches: each costs every consumer a transaction

R = TypeVar("R", bound=Row)

log = structlog.get_logger()


class TopicAheadOfStore(Exception):
    """Kafka holds an event that the store does not: the store lost events without a new epoch.

    Publishing on would give consumers two different events at one position.
    """


class OutOfOrder(Exception):
    """The tail did not hand out the next position, or not the next link of the chain."""


class Tail(Protocol[R]):
    """A store's log past the relay's cursor. The cursor and its lease live in the store."""

    @property
    def log(self) -> str: ...
    async def lease(self) -> bool:
        """True while this process may publish; False while another one may."""
        ...

    async def fetch(self) -> Sequence[R]:
        """The next events of each shard, in `pos` order within it."""
        ...

    async def advance(self, rows: Sequence[R]) -> None:
        """Moves the cursor past these rows by compare-and-set. Raises when the lease is lost."""
        ...

    async def epoch(self) -> str: ...
    async def hashes(self, places: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """The chain after each (shard, pos) that the store has."""
        ...


class Relay(Generic[R]):
    """Publishes one log. Any error: the producer is dropped and all begins again at the cursor."""

    def __init__(self, tail: Tail[R], publisher: Publisher, *, clock: Clock | None = None) -> None:
        self._tail, self._publisher = tail, publisher
        self._clock = clock or SystemClock()
        self._poked, self._stopped = asyncio.Event(), asyncio.Event()
        self._links: dict[int, tuple[int, bytes]] = {}

    def poke(self) -> None:
        """There is something new: look now."""
        self._poked.set()

    def stop(self) -> None:
        """Ends `run` after the batch at hand."""
        self._stopped.set()
        self._poked.set()

    async def run(self) -> None:
        """Until stopped. Raises `TopicAheadOfStore` only: a person must look at that."""
        backoff = Backoff()
        checked = False
        while not self._stopped.is_set():
            try:
                if not checked:
                    await self._compare_with_topic()
                    checked = True
                await self._session(backoff)
            except TopicAheadOfStore:
                raise
            except Exception as error:  # noqa: BLE001 -- crash-only: whatever it was, start afresh
                log.warning("relay_restarted", log=self._tail.log, error=repr(error))
                await _rest(self._stopped, backoff.next())

    async def _compare_with_topic(self) -> None:
        """Records of another epoch are not compared: a restore may have left them behind."""
        epoch = await self._tail.epoch()
        last = await self._publisher.last(self._tail.log)
        found = {(e.shard, e.pos): e.hash for e in last if e.epoch == epoch}
        stored = await self._tail.hashes(list(found))
        for (shard, pos), expected in sorted(found.items()):
            if stored.get((shard, pos)) != expected:
                raise TopicAheadOfStore(
                    f"{self._tail.log} shard {shard}: Kafka has an event at {pos} that the store "
                    "has not; give the restored store a new epoch"
                )

    async def _session(self, backoff: Backoff) -> None:
        self._links.clear()
        async with self._publisher.session() as publish:
            leased, idle = 0.0, QUICK_SECONDS
            while not self._stopped.is_set():
                if time.monotonic() - leased > LEASE_SECONDS:
                    if not await self._tail.lease():
                        await _rest(self._stopped, LEASE_SECONDS)
                        continue
                    leased = time.monotonic()
                if await self._pump(publish):
                    backoff.reset()
                    idle = QUICK_SECONDS
                    await _rest(self._stopped, PACE_SECONDS)
                else:
                    await _rest(self._poked, idle)
                    self._poked.clear()
                    idle = min(SLOW_SECONDS, idle * 2)

    async def _pump(self, publish: Publish) -> bool:
        await hit("relay.before_fetch")
        rows = await self._tail.fetch()
        await hit("relay.after_fetch")
        self._report(rows)
        if not rows:
            return False
        self._check(rows)
        await publish([envelope_from(row) for row in rows])
        await hit("relay.after_acks")
        await self._tail.advance(rows)
        await hit("relay.after_checkpoint")
        return True

    def _check(self, rows: Sequence[Row]) -> None:
        for row in rows:
            pos, link = self._links.get(row.shard, (row.pos - 1, row.previous_hash))
            if row.pos != pos + 1 or row.previous_hash != link:
                raise OutOfOrder(f"{row.log} shard {row.shard}: {row.pos} after {pos}")
            self._links[row.shard] = row.pos, row.hash

    def _report(self, rows: Sequence[Row]) -> None:
        oldest = min((row.recorded_at for row in rows), default=None)
        age = (self._clock.now() - oldest).total_seconds() if oldest else 0.0
        OUTBOX_AGE.set(max(0.0, age), {"bayline.log": self._tail.log})


async def _rest(until: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
