"""What operators ask a process: is it alive, started, ready; which version; its metrics."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.settings import Admin

Check: TypeAlias = Callable[[], Awaitable[object]]  # raises, or returns a text, when not ready

CHECK_SECONDS = 2.0


class Probes:
    """The state of a process, and the checks that tell whether it is ready, and whole.

    Not ready is who cannot answer requests: nobody should send it any. Commands and reads go on
    while a consumer, a relay or the broker stands still, so that is told, and costs nobody a
    process that works: `degraded` is for the operator, `failing` for the load balancer.
    """

    def __init__(self, service: str, build: str) -> None:
        self.started = False
        self.stopping = False
        self.checks: dict[str, Check] = {}
        self.standing: dict[str, Check] = {}
        self._service = service
        self._build = build

    async def failing(self) -> Mapping[str, str]:
        """What is not ready, and why."""
        return await _complaints(self.checks)

    async def degraded(self) -> Mapping[str, str]:
        """What stands still though requests go on, and why."""
        return await _complaints(self.standing)

    async def livez(self, _: web.Request) -> web.Response:
        return _json({"alive": True})

    async def startupz(self, _: web.Request) -> web.Response:
        return _json({"started": self.started}, ok=self.started)

    async def readyz(self, _: web.Request) -> web.Response:
        failing = dict(await self.failing())
        if not self.started:
            failing["start"] = "still starting"
        if self.stopping:
            failing["stop"] = "shutting down"
        body = {"ready": not failing, "failing": failing, "degraded": await self.degraded()}
        return _json(body, ok=not failing)

    async def version(self, _: web.Request) -> web.Response:
        release = release_of(self._service)
        return _json({"service": self._service, "version": release, "build": self._build})

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})


def release_of(service: str) -> str:
    """The version of its package."""
    try:
        return version(f"bayline-{service}")
    except PackageNotFoundError:
        return "unknown"


async def _complaints(checks: Mapping[str, Check]) -> Mapping[str, str]:
    answers = await asyncio.gather(*map(_complaint, checks.values()))
    return {name: wrong for name, wrong in zip(checks, answers, strict=True) if wrong}


async def _complaint(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            answer = await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 -- whatever a check raises is its complaint
        return f"{type(error).__name__}: {error}"
    return answer if isinstance(answer, str) else ""


def _json(body: Mapping[str, object], *, ok: bool = True) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), content_type="application/json", status=200 if ok else 503
    )


@asynccontextmanager
async def served(probes: Probes, settings: Admin) -> AsyncIterator[int]:
    """Answers on the admin port, from the first moment of a process to its last. Yields the port."""
    app = web.Application()
    for name in ("livez", "startupz", "readyz", "version", "metrics"):
        app.router.add_get(f"/{name}", getattr(probes, name))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, settings.port)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
