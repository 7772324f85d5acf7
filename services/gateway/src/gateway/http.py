"""The HTTP server: granian on this process's own loop."""

import asyncio
import resource

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from gateway.settings import Http

DRAIN_SECONDS = 4.0
CONNECTIONS = 4_096  # open at a time, live streams too: granian's own bound is 128, then it is deaf
UNACCEPTED = 1_024
HEADERS = HTTP1Settings(
    header_read_timeout=30_000,  # from the end of the request before: a browser's idle connection, too
    max_buffer_size=64 * 1024,
)


class HttpServer:
    """Runs until it is stopped; requests in progress are finished first."""

    def __init__(self, app: ASGIApp, settings: Http) -> None:
        self._server = Server(
            app,
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGINL,
            backlog=UNACCEPTED,
            backpressure=CONNECTIONS,
            http=HTTPModes.http1,
            http1_settings=HEADERS,
            websockets=False,
            log_enabled=False,
        )

    async def run(self) -> None:
        _allow_files(2 * CONNECTIONS)
        await self._server.serve()

    async def stop(self) -> None:
        self._server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
        await asyncio.sleep(0)


def _allow_files(wanted: int) -> None:
    """Each connection is one; many systems give a process 1,024 until it asks for more."""
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if given < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))
