"""How busy a process is: its event loop, and its connections to the database."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from runtime.database import Pool

LOOK_SECONDS = 0.25

_METER = metrics.get_meter("bayline.runtime")
_LAG = _METER.create_histogram(
    "bayline.loop.lag",
    unit="s",
    description="how late the event loop comes back",
    explicit_bucket_boundaries_advisory=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0),
)
_pools: dict[str, Pool] = {}


class LoopLag:
    """How much later than asked for the loop comes back: what every request waits as well."""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            _LAG.record(max(0.0, loop.time() - due))


@contextmanager
def observed(name: str, pool: Pool) -> Iterator[None]:
    """Counts the pool's connections whenever somebody scrapes."""
    _pools[name] = pool
    try:
        yield
    finally:
        del _pools[name]


def _connections(_: CallbackOptions) -> Iterator[Observation]:
    for name, stats in _stats():
        idle = stats["pool_available"]
        for state, count in (("idle", idle), ("used", stats["pool_size"] - idle)):
            labels = _labels(name) | {"db.client.connection.state": state}
            yield Observation(count, labels)


def _most(_: CallbackOptions) -> Iterator[Observation]:
    for name, stats in _stats():
        yield Observation(stats["pool_max"], _labels(name))


def _waiting(_: CallbackOptions) -> Iterator[Observation]:
    for name, stats in _stats():
        yield Observation(stats["requests_waiting"], _labels(name))


def _stats() -> Iterator[tuple[str, dict[str, int]]]:
    for name, pool in _pools.items():
        yield name, pool.get_stats()


def _labels(name: str) -> dict[str, str]:
    return {"db.client.connection.pool.name": name}


_METER.create_observable_up_down_counter(
    "db.client.connection.count",
    [_connections],
    unit="{connection}",
    description="connections to the database, used and idle",
)
_METER.create_observable_up_down_counter(
    "db.client.connection.max",
    [_most],
    unit="{connection}",
    description="connections that the pool may open",
)
_METER.create_observable_up_down_counter(
    "db.client.connection.pending_requests",
    [_waiting],
    unit="{request}",
    description="who waits for a connection now",
)
