"""How often one caller may ask, counted in Redis where there is one; and how many streams are open at once."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import MethodDescriptor
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
ENDS_SECONDS = 5  # when to look whether one has ended

log = structlog.get_logger()


class RateLimited(QuotaExhausted):
    pass


class TooManyAtOnce(QuotaExhausted):
    """So many streams or exports are open already; one must end first."""


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


class AtOnce:
    """What each caller and each tenant has open in this gateway: streams, and exports."""

    def __init__(self, settings: Limits) -> None:
        self._most = {
            "streams": (settings.streams_per_caller, settings.streams_per_tenant),
            "exports": (settings.exports_per_caller, settings.exports_per_tenant),
        }
        self._open: Counter[tuple[str, ...]] = Counter()

    @contextmanager
    def taken(self, caller: Caller, method: MethodDescriptor) -> Iterator[None]:
        """Held until the stream has ended, however it ends. Raises TooManyAtOnce."""
        kind = "exports" if method.output_type is HttpBody.DESCRIPTOR else "streams"
        by_caller, by_tenant = self._most[kind]
        yours, tenants = (kind, caller.tenant, caller.subject), (kind, caller.tenant)
        self._require_room(yours, by_caller, "by you")
        self._require_room(tenants, by_tenant, "by your tenant")
        self._open.update((yours, tenants))
        try:
            yield
        finally:
            self._release(yours)
            self._release(tenants)

    def _require_room(self, who: tuple[str, ...], most: int, by: str) -> None:
        if self._open[who] >= most:
            raise TooManyAtOnce(
                f"{most} {who[0]} are open {by} already",
                limit=str(most),
                retry_after_seconds=str(ENDS_SECONDS),
            )

    def _release(self, who: tuple[str, ...]) -> None:
        self._open[who] -= 1
        if not self._open[who]:
            del self._open[who]


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
