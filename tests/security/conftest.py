"""The whole stack, and a tenant of it that others would like to get at."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from devstack.stack import Stack
from kernel.ids import Uuid7
from tests.security.fortress import Attack, Fortress


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/security/" in str(item.path) and "whole_stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def fortress(whole_stack: Stack) -> Fortress:
    async def built() -> Fortress:
        made = Fortress(whole_stack, f"fort-{Uuid7().new().hex[-8:]}")
        async with aiohttp.ClientSession() as session:
            await made.build(session)
        return made

    return asyncio.run(built())


@pytest.fixture
async def attack(fortress: Fortress) -> AsyncIterator[Attack]:
    async with aiohttp.ClientSession() as session:
        yield Attack(fortress, session)
