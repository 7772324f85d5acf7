"""Whatever is killed, nothing is lost and nothing is doubled."""

import asyncio
import os
from random import Random
from signal import SIGKILL
from typing import Any

import pytest

from devstack import stories
from devstack.api import Api, Refused
from devstack.demo import Demo
from devstack.stack import Stack
from devstack.stories import Workshop

VICTIMS = (
    "workshop",
    "vehicle",
    "technician",
    "keyring",
    "audit",
    "gateway",
    "kafka",
    "postgres",
    "issuer",
)


@pytest.mark.parametrize("victim", VICTIMS)
async def test_after_a_kill_and_up_again_read_models_agree_with_the_log(
    demo: Demo, whole_stack: Stack, berlin: Workshop, victim: str
) -> None:
    told = [stories.closed, stories.on_hold, stories.closed_after_rework, stories.cancelled]
    visits = [berlin.visit(Random(number)) for number in range(len(told))]
    telling = [
        asyncio.create_task(_told(story, visit)) for story, visit in zip(told, visits, strict=True)
    ]
    await asyncio.sleep(0.4)

    await _killed_and_started_again(whole_stack, victim)

    outcomes = await asyncio.gather(*telling)
    manager = demo.api("acme", "service_manager")
    for visit in visits:
        if visit.job is not None:
            await _agrees(manager, visit.job["name"])
    assert all(outcomes)


async def test_a_live_stream_goes_on_after_the_gateway_was_killed(
    demo: Demo, whole_stack: Stack, berlin: Workshop
) -> None:
    manager = demo.api("acme", "service_manager")
    frames = manager.frames("/v1/jobs:stream")
    first = await anext(frames)
    await stories.planned(berlin.visit(Random(1)))
    seen = [(await anext(frames)) for _ in range(2)]
    await frames.aclose()  # type: ignore[attr-defined]  # it is a generator

    await _killed_and_started_again(whole_stack, "gateway")

    everything = [each async for each in _until_quiet(manager, first["cursor"])]
    resumed = [each async for each in _until_quiet(manager, seen[-1]["cursor"])]
    ids = [each["eventId"] for each in everything]
    assert [each["eventId"] for each in seen] + [each["eventId"] for each in resumed] == ids
    assert len(ids) == len(set(ids)) >= 3


async def test_a_key_answers_the_same_after_its_service_was_killed(
    whole_stack: Stack, berlin: Workshop
) -> None:
    visit = berlin.visit(Random(2))
    await stories.requested(visit)
    manager, key = berlin.people["manager"], berlin.key()
    path = f"/v1/{visit.job['name']}:triage"
    body = {"priority": "PRIORITY_SCHEDULED", "reason": "REPAIR_REASON_INSPECTION"}
    first = await manager.post(path, body, key=key)
    later = await manager.post(
        f"/v1/{visit.job['name']}:cancel", {"note": "Sold"}, key=berlin.key()
    )

    await _killed_and_started_again(whole_stack, "workshop")

    assert await manager.post(path, body, key=key) == first
    with pytest.raises(Refused, match="KEY_REUSED"):
        await manager.post(path, {**body, "priority": "PRIORITY_EMERGENCY"}, key=key)
    assert (await manager.get(f"/v1/{visit.job['name']}"))["etag"] == later["etag"]


async def _killed_and_started_again(stack: Stack, victim: str) -> None:
    os.kill(stack.running()[victim].pid, SIGKILL)
    while victim in stack.running():
        os.sched_yield()
    await asyncio.to_thread(stack.up, lambda name, text: None)


async def _told(story: stories.Story, visit: stories.Visit) -> bool:
    await story(visit)
    return True


async def _until_quiet(manager: Api, cursor: str) -> Any:
    """The events after the cursor, until none comes for a second."""
    frames = manager.frames("/v1/jobs:stream", cursor=cursor)
    await anext(frames)
    while True:
        try:
            yield await asyncio.wait_for(anext(frames), 1)
        except TimeoutError:
            return


async def _agrees(manager: Api, name: str) -> None:
    """The list, a projection, says of the job what the fold of its stream says; soon."""
    folded = await manager.get(f"/v1/{name}")
    async with asyncio.timeout(20):
        while True:
            listed = await manager.get("/v1/jobs", query=folded["number"])
            rows = {row["name"]: (row["state"], row["etag"]) for row in listed["jobs"]}
            if rows.get(name) == (folded["state"], folded["etag"]):
                return
            await asyncio.sleep(0.1)
