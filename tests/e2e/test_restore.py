"""A backup, work that goes on, a restore: what everybody sees afterwards."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from devstack import consumers, stories
from devstack.api import Api, Refused
from devstack.backup import backup
from devstack.consumers import Progress
from devstack.demo import Demo
from devstack.passphrases import VARIABLE
from devstack.projections import resume_halted
from devstack.restore import restore
from devstack.stack import Stack
from devstack.stories import Visit, Workshop
from testkit.commands import bayline


@pytest.fixture(autouse=True)
def here(whole_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line looks for its stack in the environment."""
    monkeypatch.setenv("BAYLINE_HOME", str(whole_stack.parts.home))
    monkeypatch.setenv("BAYLINE_PORT_OFFSET", str(whole_stack.parts.environments.offset))
    monkeypatch.setenv(VARIABLE, "known to the tests")


async def test_a_restored_stack_goes_on_once_somebody_says_so(
    demo: Demo, whole_stack: Stack, berlin: Workshop, tmp_path: Path
) -> None:
    kept, lost = berlin.visit(Random(21)), berlin.visit(Random(22))
    await stories.planned(kept)
    await _until(whole_stack, _drained)
    await asyncio.to_thread(backup, tmp_path / "backup")
    await stories.closed(lost)
    cursor = await _cursor(demo.api("acme", "service_manager"))

    epochs = await asyncio.to_thread(_restored, whole_stack, tmp_path / "backup")

    manager = demo.api("acme", "service_manager")
    assert await _refusal(manager.get(f"/v1/{lost.job['name']}")) == "JOB_NOT_FOUND"
    assert await _refusal(_cursor(manager, cursor)) == "CURSOR_EXPIRED"
    assert await _refusal(_cancelled(manager, kept, etag="99")) == "STALE_VERSION"

    await _until(whole_stack, _all_halted)
    assert (await bayline(whole_stack, "status", "--json")).code == 1
    for epoch in epochs:
        await asyncio.to_thread(resume_halted, epoch=epoch)
    await _until(whole_stack, _drained)

    _forget_what_was_read(berlin)
    await stories.closed(fresh := berlin.visit(Random(23)))
    await _cancelled(berlin.people["manager"], kept)
    assert await _listed(berlin, kept) == "JOB_STATE_CANCELLED"
    assert await _listed(berlin, fresh) == "JOB_STATE_CLOSED"
    await _until(whole_stack, _drained)
    assert (await bayline(whole_stack, "status", "--json")).code == 0


def _restored(stack: Stack, folder: Path) -> list[str]:
    """Returns the stores' new epochs."""
    stack.down(_ignore)
    restore(folder)
    stack.up(_ignore)
    with consumers.stores(stack.parts.environments.postgres) as found:
        return list(consumers.epochs(found).values())


def _all_halted(lines: list[Progress]) -> bool:
    """Everybody but the relays, which follow nobody, and whoever follows a log that is empty."""
    return all(
        line.state == "halted" for line in lines if not line.name.endswith((".relay", ".forgotten"))
    )


def _drained(lines: list[Progress]) -> bool:
    return all(line.lag_events == 0 for line in lines)


async def _until(stack: Stack, good: Callable[[list[Progress]], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if await asyncio.to_thread(lambda: good(_progress(stack))):
                return
            await asyncio.sleep(0.2)


def _progress(stack: Stack) -> list[Progress]:
    with consumers.stores(stack.parts.environments.postgres) as found:
        return consumers.progress(found)


async def _cursor(manager: Api, after: str = "") -> str:
    frames = manager.frames("/v1/jobs:stream", **({"cursor": after} if after else {}))
    first = await anext(frames)
    await frames.aclose()  # type: ignore[attr-defined]  # it is a generator
    return str(first["cursor"])


async def _cancelled(manager: Api, visit: Visit, etag: str = "") -> Any:
    body = {"note": "The backup was old", "etag": etag}
    return await manager.post(f"/v1/{visit.job['name']}:cancel", body, key=visit.workshop.key())


async def _listed(workshop: Workshop, visit: Visit) -> str:
    rows = await workshop.people["manager"].get("/v1/jobs", query=visit.job["number"])
    [state] = [row["state"] for row in rows["jobs"] if row["name"] == visit.job["name"]]
    return str(state)


def _forget_what_was_read(workshop: Workshop) -> None:
    """Positions given out before the restore may name events that are gone."""
    for person in workshop.people.values():
        person.after.clear()


async def _refusal(asked: Any) -> str:
    with pytest.raises(Refused) as refused:
        await asked
    return refused.value.reason


def _ignore(name: str, text: str) -> None:
    """The test looks at what is, not at what is said."""
