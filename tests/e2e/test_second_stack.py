"""A stack beside another one: whatever it prints or serves is its own."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from devstack.demo import what_to_see
from devstack.stack import Stack
from testkit.commands import bayline

SERVED = ("/openapi.json", "/asyncapi.json", "/docs", "/docs/start.js", "/v1/me", "/v1/nothing")
ISSUED = ("/.well-known/openid-configuration", "/authorize")
COMMANDS = (("up",), ("status",), ("status", "--json"), ("topics", "--asyncapi"), ("audit", "key"))


async def test_nothing_that_a_second_stack_says_names_an_address_of_the_first(
    whole_stack: Stack, tmp_path: Path
) -> None:
    own, first = _ports(whole_stack), _ports(Stack.at(tmp_path))

    said = {what: text async for what, text in _said(whole_stack)}
    said["demo"] = what_to_see(whole_stack)

    named = {what: _numbers_after_a_colon(text) for what, text in said.items()}
    assert {what: ports & (first - own) for what, ports in named.items() if ports & first} == {}
    assert {what for what, ports in named.items() if ports & own} >= {
        *("demo", "up", "status", "status --json", "topics --asyncapi"),
        *("/openapi.json", "/asyncapi.json", "/v1/nothing", "/.well-known/openid-configuration"),
    }


async def _said(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    for command in COMMANDS:
        done = await bayline(stack, *command)
        yield " ".join(command), done.out + done.err
    environments = stack.parts.environments
    async with aiohttp.ClientSession() as session:
        for top, paths in ((environments.gateway, SERVED), (environments.issuer, ISSUED)):
            for path in paths:
                async with session.get(top + path) as answer:
                    yield path, f"{answer.headers}\n{await answer.text()}"


def _ports(stack: Stack) -> set[int]:
    return {port for part in stack.parts.all() for port in part.ports}


def _numbers_after_a_colon(text: str) -> set[int]:
    return {int(number) for number in re.findall(r":(\d{4,5})\b", text)}
