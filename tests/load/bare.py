"""The least that could do it, to hold figures against: the same server, nothing of ours around it.

`python -m tests.load.bare insert|echo PORT [DSN]`
"""

import json
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import uvloop
from fastapi import FastAPI
from granian.constants import Interfaces
from granian.server.embed import Server
from psycopg_pool import AsyncConnectionPool
from pydantic import Base64Bytes, BaseModel
from starlette.types import Receive, Scope, Send

from devstack.ports import HOST, free_port
from devstack.processes import Program, Running, spawn, stop, wait_until_ready
from devstack.stack import Stack
from eventstore.tail import Row
from tests.load.generator import Target

TABLE = """
CREATE TABLE event (
  pos bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant text NOT NULL,
  stream uuid NOT NULL,
  ver int NOT NULL,
  event_id uuid NOT NULL UNIQUE,
  type text NOT NULL,
  occurred_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  data bytea NOT NULL,
  meta bytea NOT NULL,
  UNIQUE (tenant, stream, ver))"""
INSERT = """
INSERT INTO event (tenant, stream, ver, event_id, type, occurred_at, data, meta)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING pos"""
POOL = 10
JSON = {"content-type": "application/json"}


class Event(BaseModel):
    tenant: str
    stream: UUID
    ver: int
    event_id: UUID
    type: str
    occurred_at: datetime
    data: Base64Bytes
    meta: Base64Bytes


def inserting(dsn: str) -> FastAPI:
    """One row for each request, durable before it is answered."""
    pool = AsyncConnectionPool(
        dsn, min_size=POOL, max_size=POOL, open=False, kwargs={"autocommit": True}
    )

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=opened)

    @app.post("/events")
    async def insert(event: Event) -> dict[str, int]:
        async with pool.connection() as connection:
            values = tuple(getattr(event, name) for name in Event.model_fields)
            row = await (await connection.execute(INSERT, values)).fetchone()
        assert row is not None
        return {"pos": row[0]}

    return app


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The body comes back."""
    if scope["type"] != "http":
        return
    message = await receive()
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": message.get("body", b"")})


@contextmanager
def database(stack: Stack) -> Iterator[str]:
    """Beside those of the services, in the same PostgreSQL; its DSN."""
    server = stack.parts.environments.postgres
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE bare")
        with psycopg.connect(server.dsn("bare")) as made:
            made.execute(TABLE)
        yield server.dsn("bare")
        connection.execute("DROP DATABASE bare WITH (FORCE)")


@contextmanager
def serving(what: str, *arguments: str) -> Iterator[tuple[Running, str]]:
    """One of the two in a process of its own, and its address."""
    port, log = free_port(), Path(f"build/bench/{what}.log")
    argv = (sys.executable, "-m", "tests.load.bare", what, str(port), *arguments)
    program = Program(what, argv, log=log, cwd=Path.cwd())
    running = spawn(program, dies_with_parent=True)
    try:
        wait_until_ready(running, log, lambda: _complaint(port))
        yield running, f"http://{HOST}:{port}"
    finally:
        stop(running)


def inserts(rows: Sequence[Row], base: str) -> list[Target]:
    """A request for each stored row, with the same bytes in it."""
    return [Target("POST", f"{base}/events", JSON, _body(row)) for row in rows]


def echoes(bodies: Iterable[bytes], base: str) -> list[Target]:
    return [Target("POST", base, JSON, body) for body in bodies]


def _body(row: Row) -> bytes:
    event = {
        "tenant": row.tenant,
        "stream": str(row.stream),
        "ver": row.ver,
        "event_id": str(row.event_id),
        "type": row.type,
        "occurred_at": row.occurred_at.isoformat(),
        "data": b64encode(row.data).decode(),
        "meta": b64encode(row.meta).decode(),
    }
    return json.dumps(event).encode()


def _complaint(port: int) -> str:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError as error:
        return str(error)
    return ""


def main(what: str, port: int, dsn: str = "") -> None:
    app: Any = echo if what == "echo" else inserting(dsn)
    kind = Interfaces.ASGINL if what == "echo" else Interfaces.ASGI
    server = Server(app, address=HOST, port=port, interface=kind, log_enabled=False)
    uvloop.run(server.serve())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
