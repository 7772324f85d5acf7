"""The HTTP server: granian on this process's own loop."""

import asyncio

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

from gateway.settings import Http

DRAIN_SECONDS = 4.0


class HttpServer:
    """Runs until it is stopped; requests in progress are finished first."""

    def __init__(self, app: ASGIApp, settings: Http) -> None:
        self._server = Server(
            app,
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGINL,
            websockets=False,
            log_enabled=False,
        )

    async def run(self) -> None:
        await self._server.serve()

    async def stop(self) -> None:
        self._server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
        await asyncio.sleep(0)
