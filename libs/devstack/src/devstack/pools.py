"""Work in the database of one service, as superuser of the local stack."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devstack.stack import Stack
from messaging.cursor import Pool

Result = TypeVar("Result")


def on(service: str, work: Callable[[Pool], Awaitable[Result]]) -> Result:
    async def done() -> Result:
        dsn = Stack.here().parts.environments.postgres.dsn(service)
        pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            dsn, min_size=1, max_size=1, open=False
        )
        async with pool:
            return await work(pool)

    return asyncio.run(done())
