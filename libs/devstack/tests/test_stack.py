import asyncio
import os
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import psycopg
import pytest

from devstack import kafka
from devstack.processes import is_alive
from devstack.stack import Stack
from messaging.admin import ensure_topics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
SERVERS = ("postgres", "kafka")


def test_data_survives_down_and_up(stack: Stack) -> None:
    _start(stack)
    _remember(stack, "survives")

    stack.down(_ignore)
    down = {one.name: one.state for one in stack.states()}
    _start(stack)

    assert set(down.values()) == {"down"}
    assert _remembered(stack, "survives")
    assert _topics(stack) >= {"t.Kept", "t.Kept.dlq"}


def test_starting_twice_starts_nothing_and_says_so(stack: Stack) -> None:
    _start(stack)
    before = stack.running()
    said: list[str] = []

    for name in SERVERS:
        stack.start(name, lambda who, text: said.append(f"{who} {text}"))

    assert stack.running() == before
    assert [line.split(" (")[0] for line in said] == [f"{one} runs already" for one in SERVERS]


def test_what_was_killed_is_seen_as_ended_and_started_again(stack: Stack) -> None:
    _start(stack)
    _remember(stack, "killed")
    for name in SERVERS:
        os.kill(stack.running()[name].pid, SIGKILL)
    while stack.running():
        os.sched_yield()

    ended = {one.name: one.state for one in stack.states() if one.name in SERVERS}
    _start(stack)

    assert set(ended.values()) == {"ended"}
    assert _remembered(stack, "killed")
    assert _topics(stack) >= {"t.Kept"}


def test_a_killed_server_that_nobody_reaps_is_no_obstacle(stack: Stack) -> None:
    _start(stack)
    server = stack.running()["postgres"].pid
    os.kill(server, SIGKILL)
    while is_alive(server):
        os.sched_yield()

    stack.parts.cluster().clear_after_kill()

    assert not [
        *stack.parts.cluster().data.glob("*.pid"),
        *stack.parts.cluster().data.glob(".*.lock"),
    ]
    _start(stack)


def test_a_living_server_keeps_its_lock(stack: Stack) -> None:
    _start(stack)

    stack.parts.cluster().clear_after_kill()

    assert (stack.parts.cluster().data / "postmaster.pid").exists()


def test_the_database_answers_by_its_socket_and_by_tcp(stack: Stack) -> None:
    _start(stack)
    server = stack.parts.environments.postgres

    ways = [_address(each.dsn()) for each in (server, replace(server, sockets=None))]

    assert ways == [None, "127.0.0.1"]


def test_a_home_too_deep_for_a_socket_is_served_by_tcp(place: Path) -> None:
    deep = Stack.at(place / ("deep" * 30)).parts.environments

    assert f"@127.0.0.1:{deep.postgres.port}/" in deep.postgres.dsn()


def test_down_stops_only_what_it_has_started(stack: Stack, place: Path) -> None:
    _start(stack)
    other = Stack.beside(place / "other")
    other.start("postgres", _ignore)

    stack.down(_ignore)

    assert set(other.running()) == {"postgres"}
    other.down(_ignore)


def test_a_role_reaches_its_own_database_only(stack: Stack) -> None:
    _start(stack)
    environments = stack.parts.environments
    password = environments.passwords("workshop")["app"]

    def enters(database: str) -> bool:
        dsn = environments.postgres.dsn(database, user="workshop_app", password=password)
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    with psycopg.connect(environments.postgres.dsn()) as connection:
        there = connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()

    assert {"postgres", "template1", "keyring"} <= {name for (name,) in there}
    assert [name for (name,) in there if enters(name)] == ["workshop"]


def _start(stack: Stack) -> None:
    for name in SERVERS:
        stack.start(name, _ignore)
    asyncio.run(ensure_topics(stack.parts.environments.kafka, ["t.Kept"]))


def _remember(stack: Stack, what: str) -> None:
    with psycopg.connect(stack.parts.environments.postgres.dsn()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS remembered (what text)")
        connection.execute("INSERT INTO remembered VALUES (%s)", [what])


def _remembered(stack: Stack, what: str) -> bool:
    with psycopg.connect(stack.parts.environments.postgres.dsn()) as connection:
        found = connection.execute("SELECT FROM remembered WHERE what = %s", [what])
        return found.rowcount == 1


def _address(dsn: str) -> str | None:
    """Of the server, as the server sees it: none where one comes by a socket."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT host(inet_server_addr())").fetchone()
        return found[0] if found else None


def _topics(stack: Stack) -> set[str]:
    async def listed() -> set[str]:
        async with kafka.admin(stack.parts.environments.kafka) as admin:
            return set(await admin.list_topics())

    return asyncio.run(listed())


def _ignore(name: str, text: str) -> None:
    """These tests look at what is, not at what is said."""
