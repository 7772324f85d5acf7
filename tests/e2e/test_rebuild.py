"""A read model built anew under traffic: killed at each state, compared, swapped, rolled back."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from devstack import topology
from devstack.api import Api
from devstack.demo import Demo
from devstack.stack import Stack
from testkit.commands import bayline

NAME = "vehicle.vehicle-list"
POINTS = [
    "rebuild.prepared",
    "rebuild.before_commit",
    "rebuild.after_commit",
    "rebuild.before_join",
    "rebuild.joined",
    "rebuild.compared",
]


async def test_a_rebuild_killed_at_each_state_goes_on_and_readers_notice_nothing(
    demo: Demo, whole_stack: Stack
) -> None:
    admin = demo.api("acme", "admin")
    vehicle = (await admin.get("/v1/vehicles"))["vehicles"][0]["name"]
    others = await _listed(demo.api("polaris", "admin"))

    async with _traffic(demo, admin, vehicle) as plates:
        for point in POINTS:
            assert await _rebuild_killed_at(whole_stack, point) == -signal.SIGKILL, point
        said = await bayline(whole_stack, "projections", "rebuild", NAME, "--json")
        assert (said.json["state"], said.json["differing"]) == ("following", 0), said
        for step in ("swap", "rollback", "swap", "retire"):
            said = await bayline(whole_stack, "projections", step, NAME, "--json")
            assert said.code == 0, said
            assert await _listed(demo.api("polaris", "admin")) == others

    said = await bayline(whole_stack, "projections", "rollback", NAME)
    assert (said.code, "one generation only" in said.err) == (1, True), said
    assert (await _listed(admin))[vehicle] == plates[-1]
    assert not set(others) & set(await _listed(admin))


@asynccontextmanager
async def _traffic(demo: Demo, admin: Api, vehicle: str) -> AsyncIterator[list[str]]:
    """Plates change and lists are read, without patience: any answer but a good one is raised."""
    ended = asyncio.Event()
    plates: list[str] = []

    async def write() -> None:
        while not ended.is_set():
            plate = f"T {demo.key()[-6:]}"
            await admin.post(f"/v1/{vehicle}:changePlate", {"plate": plate}, key=demo.key())
            plates.append(plate)

    async def read() -> None:
        headers = {"authorization": f"Bearer {admin.token}"}
        while not ended.is_set():
            async with demo.session.get(f"{admin.base}/v1/vehicles", headers=headers) as answer:
                assert answer.status == 200, await answer.text()

    tasks = [asyncio.create_task(work()) for work in (write, read, read)]
    try:
        yield plates
    finally:
        ended.set()
        await asyncio.gather(*tasks)


async def _rebuild_killed_at(stack: Stack, point: str) -> int:
    environment = stack.parts.environments.of(topology.service("vehicle"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "testkit.failpoints", "assembly.rebuild", "vehicle", NAME),
        env={**environment, "BAYLINE_FAILPOINT": f"{point}:kill"},
    )
    return await process.wait()


async def _listed(api: Api) -> dict[str, str]:
    found: dict[str, str] = {}
    token = ""
    while True:
        page: dict[str, Any] = await api.get("/v1/vehicles", pageSize="200", pageToken=token)
        found |= {each["name"]: each["plate"] for each in page["vehicles"]}
        token = page.get("nextPageToken", "")
        if not token:
            return found
