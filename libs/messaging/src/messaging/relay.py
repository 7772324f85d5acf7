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
from messaging.telemetry import OUTBOX_AGE, RELAY_HALTED, Covered
from messaging.trouble import PASSING, Spell

HALTED_SECONDS = 5.0
COMPARE_SECONDS = 30.0
GRACE_SECONDS = 2.0  # an idle relay looks several times a second
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
        self._covered = Covered(self._clock, GRACE_SECONDS)
        self._trouble = Spell("relay_restarted", log=tail.log)
        self._halted = ""
        OUTBOX_AGE.watch(tail.log, self._covered.age)
        RELAY_HALTED.watch(tail.log, lambda: bool(self._halted))

    @property
    def name(self) -> str:
        return f"relay of {self._tail.log}"

    @property
    def complaint(self) -> str:
        """Why it publishes nothing though it runs; empty while it does."""
        return self._halted or self._trouble.complaint

    def poke(self) -> None:
        """There is something new: look now."""
        self._poked.set()

    def stop(self) -> None:
        """Ends `run` after the batch at hand."""
        self._stopped.set()
        self._poked.set()

    async def run(self) -> None:
        """Until stopped. Where the topic is ahead it halts, until the store is the topic's again."""
        backoff = Backoff()
        while not self._stopped.is_set():
            try:
                async with asyncio.timeout(COMPARE_SECONDS):
                    await self._compare_with_topic()
                self._go_on()
                await self._session(backoff)
            except TopicAheadOfStore as why:
                self._halt(why)
                await _rest(self._stopped, HALTED_SECONDS)
            except Exception as error:  # noqa: BLE001 -- crash-only: whatever it was, start afresh
                self._trouble.met(error)
                await self._look()
                await _rest(self._stopped, backoff.next())

    def _halt(self, why: TopicAheadOfStore) -> None:
        if not self._halted:
            log.error("relay_halted", log=self._tail.log, reason=str(why))
        self._halted = str(why)

    def _go_on(self) -> None:
        if self._halted:
            log.warning("relay_goes_on", log=self._tail.log)
        self._halted = ""

    async def _look(self) -> None:
        """What waits is known, if the store can be asked, though it cannot be published."""
        with suppress(*PASSING):
            waiting = await self._tail.fetch()
            if waiting:
                self._report(waiting)

    async def _compare_with_topic(self) -> None:
        """Again whenever it begins: a database that failed over may have lost events meanwhile.

        Records of another epoch are not compared: a restore may have left them behind.
        """
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
                        self._covered.wholly()  # what waits is told by who has the lease
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
        self._trouble.calm()
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
        if rows:
            self._covered.up_to(min(row.recorded_at for row in rows))
        else:
            self._covered.wholly()


async def _rest(until: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
