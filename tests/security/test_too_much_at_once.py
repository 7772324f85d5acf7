"""Bodies that are too large, and the same command sent a hundred times."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from devstack import topology
from devstack.ports import HOST
from devstack.tokens import ROLES
from kernel.ids import Uuid7
from testkit.surface import creators, methods
from tests.security.fortress import NAME, Attack, Door, Fortress, doors

MEBIBYTE = 1024 * 1024
LARGE = 10 * MEBIBYTE
GROWTH = 20 * MEBIBYTE
TOGETHER = 20
AGAIN = 100
SECONDS = 20.0
HUNG_UP = 0

MAKERS = creators(methods())


def _port(fortress: Fortress) -> int:
    return topology.GATEWAY.port + fortress.environments.offset


def _head(fortress: Fortress, token: str, *more: str) -> bytes:
    lines = [
        "POST /v1/jobs HTTP/1.1",
        f"Host: {HOST}:{_port(fortress)}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Idempotency-Key: a-large-body",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def _status(reader: asyncio.StreamReader) -> int:
    """Who is hung up on while sending may lose the answer with the connection."""
    try:
        async with asyncio.timeout(SECONDS):
            line = await reader.readline()
    except ConnectionError:
        return HUNG_UP
    return int(line.split()[1]) if line else HUNG_UP


async def _opened(fortress: Fortress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, _port(fortress))


def _memory(fortress: Fortress) -> int:
    process = fortress.stack.running()["gateway"].process()
    assert process is not None
    return int(process.memory_info().rss)


async def _refused_before_it_came(fortress: Fortress, token: str) -> int:
    """Says how long it is, and sends none of it."""
    reader, writer = await _opened(fortress)
    try:
        writer.write(_head(fortress, token, f"Content-Length: {LARGE}"))
        return await _status(reader)
    finally:
        writer.close()


async def _pieces() -> AsyncIterator[bytes]:
    piece = b" " * 65_536
    for _ in range(LARGE // len(piece)):
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


async def _refused_while_it_comes(fortress: Fortress, token: str) -> int:
    """Does not say how long it is, and sends until somebody answers, or hangs up on it."""
    reader, writer = await _opened(fortress)
    try:
        writer.write(_head(fortress, token, "Transfer-Encoding: chunked"))
        answer = asyncio.create_task(_status(reader))
        with suppress(ConnectionError):
            async for piece in _pieces():
                if answer.done():
                    break
                writer.write(piece)
                await writer.drain()
        return await answer
    finally:
        writer.close()


async def test_a_body_too_large_is_refused_before_it_has_come(fortress: Fortress) -> None:
    token = fortress.token(fortress.person(*ROLES))

    statuses = [await _refused_before_it_came(fortress, token) for _ in range(3)]

    assert statuses == [413] * 3


async def test_bodies_without_end_are_refused_and_fill_no_memory(fortress: Fortress) -> None:
    token = fortress.token(fortress.person(*ROLES))
    await _refused_while_it_comes(fortress, token)
    before = _memory(fortress)

    statuses = await asyncio.gather(
        *(_refused_while_it_comes(fortress, token) for _ in range(TOGETHER))
    )

    assert set(statuses) <= {413, HUNG_UP}
    assert _memory(fortress) - before < GROWTH + TOGETHER * MEBIBYTE


def _needs_all(door: Door) -> bool | None:
    """An amount needs its currency, which a limit of -1 does not have."""
    return True if door.method.name == "SetApprovalLimits" else None


@pytest.mark.parametrize(
    "makers", [[d for d in doors() if d.method == each] for each in MAKERS], ids=lambda d: str(d[0])
)
async def test_a_command_sent_a_hundred_times_through_every_door_happens_once(
    attack: Attack, fortress: Fortress, makers: list[Door]
) -> None:
    once, beginner = (f"{name}-{Uuid7().new().hex[-8:]}" for name in ("once", "often"))
    first, token = (
        fortress.token(fortress.person(*ROLES, tenant=tenant, subject=tenant))
        for tenant in (once, beginner)
    )
    asked = fortress.known.document(makers[0].method, complete=_needs_all(makers[0]))
    await attack.ask(makers[0], first, asked)

    outcomes = await asyncio.gather(
        *(attack.ask(makers[n % len(makers)], token, asked) for n in range(AGAIN))
    )

    [code] = {each.code for each in outcomes}
    written = fortress.written_by(beginner, tenant=beginner)
    assert (written > 0) == (code == "OK")
    assert written == fortress.written_by(once, tenant=once)
    assert len({frozenset(NAME.findall(each.text)) for each in outcomes}) == 1 or code != "OK"
