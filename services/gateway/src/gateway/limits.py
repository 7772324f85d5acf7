"""How often one caller may ask: counted together in Redis where there is one, else in this process."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import RateLimiter, SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from gateway.settings import Limits
from kernel.errors import QuotaExhausted
from runtime.identity import Caller

WITHOUT_REDIS_SECONDS = 5.0
ANSWER_SECONDS = 0.1

log = structlog.get_logger()


class RateLimited(QuotaExhausted):
    pass


class Limiter:
    """A sliding window for each subject of each tenant, in `together` if all gateways share one.

    While that does not answer each gateway counts for itself, so that nobody is refused because
    of it and nobody gets more than the limit from each gateway. It is asked again after
    `again_after` seconds.
    """

    def __init__(
        self,
        rate: str,
        together: RateLimiter | None = None,
        *,
        again_after: float = WITHOUT_REDIS_SECONDS,
    ) -> None:
        self._rate: RateLimitItem = parse(rate)
        self._together = together
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._again_after = again_after
        self._asked_again_at = 0.0

    async def take(self, caller: Caller) -> None:
        """Counts one request. Raises RateLimited where it is one too many."""
        window, allowed = await self._hit(caller)
        if not allowed:
            seconds = self._rate.get_expiry()
            raise RateLimited(
                f"more than {self._rate.amount} requests in {seconds} s",
                retry_after_seconds=str(await self._wait(window, caller, seconds)),
            )

    async def _hit(self, caller: Caller) -> tuple[RateLimiter, bool]:
        who = caller.tenant, caller.subject
        if self._together is not None and time.monotonic() >= self._asked_again_at:
            try:
                return self._together, await self._together.hit(self._rate, *who)
            except StorageError as error:
                log.warning("rate_limits_counted_alone", error=repr(error.storage_error))
                self._asked_again_at = time.monotonic() + self._again_after
        return self._alone, await self._alone.hit(self._rate, *who)

    async def _wait(self, window: RateLimiter, caller: Caller, longest: int) -> int:
        """Whole seconds until there is room again; should Redis be gone by now, all of them."""
        try:
            stats = await window.get_window_stats(self._rate, caller.tenant, caller.subject)
        except StorageError:
            return longest
        return min(longest, max(1, math.ceil(stats.reset_time - time.time())))


@asynccontextmanager
async def limiter(settings: Limits, **patience: float) -> AsyncIterator[Limiter]:
    url = settings.redis_url.get_secret_value()
    if not url:
        yield Limiter(settings.rate)
        return
    connections = ConnectionPool.from_url(
        url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
    )
    storage = RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        connection_pool=connections,  # type: ignore[arg-type]  # it is passed on to redis
    )
    try:
        together = SlidingWindowCounterRateLimiter(storage)
        yield Limiter(settings.rate, together, **patience)
    finally:
        await connections.aclose()
