"""Every runbook, followed to the letter on a stack where what it is about has happened."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from devstack import stories
from devstack.demo import Demo
from devstack.passphrases import VARIABLE
from devstack.places import environment
from devstack.processes import run, stop
from devstack.stack import Stack
from devstack.stories import Workshop
from kernel.ids import Uuid7
from testkit.topics import eventually

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONSUMER = "vehicle.vehicle-list"
POISON = "POISON 7"
PARKED = "SELECT FROM consumer.parked WHERE name = %s"
LIVE = "SELECT schema FROM consumer.generation WHERE name = %s AND state = 'live'"

Words = Mapping[str, str]  # what the reader of a runbook puts in: TENANT, JOB


@pytest.fixture
def words(demo: Demo, whole_stack: Stack, tmp_path: Path) -> dict[str, str]:
    given = dict(environment())
    return given | {
        "PATH": f"{Path(sys.executable).parent}:{given['PATH']}",
        "BAYLINE_HOME": str(whole_stack.parts.home),
        "BAYLINE_PORT_OFFSET": str(whole_stack.parts.environments.offset),
        VARIABLE: "known to the tests",
        "TENANT": "acme",
        "CONSUMER": CONSUMER,
        "KEY_FILE": str(tmp_path / "backup.key"),
    }


@pytest.mark.parametrize(
    "name", ["operating", "lost-backup-key", "audit", "rebuild", "halted-consumer"]
)
async def test_a_runbook_is_followed_where_nothing_is_wrong(
    whole_stack: Stack, words: Words, tmp_path: Path, name: str
) -> None:
    await _followed(name, whole_stack, words, tmp_path)


async def test_an_erasure_is_followed(
    whole_stack: Stack, berlin: Workshop, words: Words, tmp_path: Path
) -> None:
    await stories.closed(visit := berlin.visit(Random(31)))
    manager = berlin.people["manager"]
    named = {"TECHNICIAN": berlin.technicians[-1], "JOB": visit.job["name"], "TICKET": "DPO-7"}

    await _followed("erasure", whole_stack, {**words, **named}, tmp_path)

    history = await manager.get(f"/v1/{visit.job['name']}/history")
    assert "[erased]" in str(history)


async def test_parked_events_are_given_up(
    demo: Demo, whole_stack: Stack, words: Words, tmp_path: Path
) -> None:
    with _ill(whole_stack):
        await _registered(demo, POISON)
        await eventually(lambda: _some_are_parked(whole_stack), within=30)
        reason = {"REASON": "its plate is none"}

        await _followed("parked-events", whole_stack, {**words, **reason}, tmp_path)

    await eventually(lambda: _none_is_parked(whole_stack), within=30)


@pytest.mark.parametrize("name", ["broker-outage", "full-disk"])
async def test_an_outage_is_ended(
    demo: Demo, whole_stack: Stack, words: Words, tmp_path: Path, name: str
) -> None:
    await asyncio.to_thread(stop, whole_stack.running()["kafka"])
    plate = f"OUT {Uuid7().new().hex[-6:]}"
    registered = await _registered(demo, plate)

    await _followed(name, whole_stack, words, tmp_path)

    await eventually(lambda: _is_listed(demo, plate, registered), within=30)


async def test_a_restore_is_followed_from_the_backup_to_the_last_consumer(
    demo: Demo, whole_stack: Stack, words: Words, tmp_path: Path
) -> None:
    await _followed("restore", whole_stack, words, tmp_path)

    assert (tmp_path / "undone.ndjson").exists()
    assert not whole_stack.parts.restoring().exists()


def test_every_runbook_is_followed_by_a_test_of_this_file() -> None:
    followed = set(re.findall(r'"([a-z-]+)"', Path(__file__).read_text()))

    assert {file.stem for file in RUNBOOKS.glob("*.md")} <= followed


async def _followed(name: str, stack: Stack, words: Words, folder: Path) -> None:
    """All its commands, in one shell that ends at the first that fails."""
    commands = "\n".join(BLOCK.findall((RUNBOOKS / f"{name}.md").read_text()))
    assert "bayline" in commands
    argv = ("/bin/bash", "-euxo", "pipefail", "-c", f"cd {folder}\n{commands}")
    async with _reaped(stack):
        done = await asyncio.to_thread(run, argv, env=words)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


async def _registered(demo: Demo, plate: str) -> str:
    body = {
        "vinRegion": "VIN_REGION_ELSEWHERE",
        "plate": plate,
        "assetNumber": demo.key(),
        "make": "MAN",
        "model": "TGX 18.470",
        "modelYear": 2022,
    }
    admin = demo.api("acme", "admin")
    return str((await admin.post("/v1/vehicles", body, key=demo.key()))["name"])


async def _is_listed(demo: Demo, plate: str, vehicle: str) -> bool:
    listed = await demo.api("acme", "admin").get("/v1/vehicles", query=plate)
    return [each["name"] for each in listed["vehicles"]] == [vehicle]


@contextmanager
def _ill(stack: Stack) -> Iterator[None]:
    """While the read model of vehicles refuses a certain plate."""
    _alter(stack, "ALTER TABLE {}.vehicle ADD CONSTRAINT ill CHECK (plate <> 'POISON 7') NOT VALID")
    try:
        yield
    finally:
        _alter(stack, "ALTER TABLE {}.vehicle DROP CONSTRAINT ill")


def _alter(stack: Stack, statement: LiteralString) -> None:
    with _vehicle(stack) as connection:
        ((schema,),) = connection.execute(LIVE, [CONSUMER])
        connection.execute(SQL(statement).format(Identifier(schema)))


async def _none_is_parked(stack: Stack) -> bool:
    return not await _some_are_parked(stack)


async def _some_are_parked(stack: Stack) -> bool:
    with _vehicle(stack) as connection:
        return bool(connection.execute(PARKED, [CONSUMER]).rowcount)


def _vehicle(stack: Stack) -> psycopg.Connection:
    return psycopg.connect(stack.parts.environments.postgres.dsn("vehicle"), autocommit=True)


@asynccontextmanager
async def _reaped(stack: Stack) -> AsyncIterator[None]:
    """This process started the stack: who ends is gone only once it has looked."""

    async def reaping() -> None:
        while True:
            await asyncio.to_thread(stack.running)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(reaping())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
