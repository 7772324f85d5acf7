"""A fleet on a whole stack of its own, made through the public API."""

from collections.abc import AsyncIterator
from random import Random

import aiohttp
import pytest

from devstack.demo import Demo
from devstack.stack import Stack
from devstack.stories import Workshop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture
async def demo(whole_stack: Stack) -> AsyncIterator[Demo]:
    """Its fleet is made once: what is there already is used again."""
    async with aiohttp.ClientSession() as session:
        run = f"test-{Random().randrange(10**9)}"
        made = Demo(session, whole_stack, Random(1), run, lambda: None)
        await made.fleet()
        yield made


@pytest.fixture
def berlin(demo: Demo) -> Workshop:
    return demo.workshops[0]


@pytest.fixture
def chicago(demo: Demo) -> Workshop:
    return demo.workshops[2]
