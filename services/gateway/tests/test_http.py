import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from devstack.ports import HOST, free_port
from gateway.http import HttpServer
from gateway.settings import Http

ASK = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
MANY = 300


@pytest.fixture
async def port() -> AsyncIterator[int]:
    port = free_port()
    app = Starlette(routes=[Route("/", _answer)])
    server = HttpServer(app, Http(port=port, host=HOST, public_base=f"http://{HOST}:{port}"))
    running = asyncio.create_task(server.run())
    yield port
    await server.stop()
    await running


async def test_clients_that_stay_connected_keep_nobody_else_out(port: int) -> None:
    async with AsyncExitStack() as stays:
        answers = [await _asked(port, stays) for _ in range(MANY)]

    assert answers == [b"HTTP/1.1 200 OK\r\n"] * MANY


async def _answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


async def _asked(port: int, stays: AsyncExitStack) -> bytes:
    reader, writer = await _connected(port)
    stays.callback(writer.close)
    writer.write(ASK)
    async with asyncio.timeout(5):
        return await reader.readline()


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The server may still be about to listen."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await asyncio.open_connection(HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
