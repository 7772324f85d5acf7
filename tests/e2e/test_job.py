"""A stranger takes a job from request to closed and looks at it from every side."""

import asyncio
from random import Random
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from devstack import stories
from devstack.api import Api, Refused
from devstack.demo import Demo
from devstack.stack import Stack
from devstack.stories import Visit, Workshop
from messaging.kafka import connection

JOBS = "bayline.workshop.v1.JobEvent"


async def test_every_step_of_a_job_is_read_at_once_streamed_and_published(
    demo: Demo, whole_stack: Stack, berlin: Workshop
) -> None:
    visit = berlin.visit(Random(5))
    manager = demo.api("acme", "service_manager")
    streamed: list[str] = []
    watching = asyncio.create_task(_watch(manager, visit, streamed))
    await asyncio.sleep(0.5)

    await stories.closed(visit)

    job = visit.job
    history = await manager.get(f"/v1/{job['name']}/history")
    assert job["state"] == "JOB_STATE_CLOSED"
    assert [entry["version"] for entry in history["entries"]] == list(
        range(1, int(job["etag"]) + 1)
    )
    assert job["invoice"]["gross"]["currency"] == "EUR"
    await asyncio.wait_for(watching, 30)
    happened = [entry["type"] for entry in history["entries"]]
    assert streamed == happened
    assert await _published(whole_stack, job["name"].removeprefix("jobs/")) == happened


async def test_what_was_written_is_read_at_once_wherever_it_shows(
    demo: Demo, berlin: Workshop
) -> None:
    visit = berlin.visit(Random(6))

    await stories.released(visit)

    manager = berlin.people["manager"]
    listed = await manager.get("/v1/jobs", query=visit.job["number"])
    assert [(row["name"], row["state"]) for row in listed["jobs"]] == [
        (visit.job["name"], "JOB_STATE_RELEASED")
    ]
    history = await manager.get(f"/v1/{visit.vehicle}/serviceHistory")
    assert visit.job["name"] in {row["job"] for row in history["visits"]}
    workload = await manager.get(f"/v1/{visit.technician}/workload")
    assert workload["completedJobs"] >= 1


async def test_a_job_is_shown_as_it_was_and_as_it_was_known(berlin: Workshop) -> None:
    visit = berlin.visit(Random(7))
    await stories.checked_in(visit)
    manager = berlin.people["manager"]
    before = await manager.get(f"/v1/{visit.job['name']}")
    history = await manager.get(f"/v1/{visit.job['name']}/history")
    known_at = history["entries"][-1]["recordedAt"]

    await visit.command(
        "manager",
        "correctMeter",
        kind="METER_KIND_IN",
        odometer={"value": "199105", "unit": "DISTANCE_UNIT_KILOMETRE"},
        readAt=history["entries"][0]["occurredAt"],
        reason="One digit too many",
    )

    now_known = await manager.get(f"/v1/{visit.job['name']}", asOf=known_at)
    then_known = await manager.get(f"/v1/{visit.job['name']}", asOf=known_at, knownAt=known_at)
    assert now_known["meterIn"]["metres"] == "199105000"
    assert "allowedActions" not in then_known or then_known["allowedActions"] == []
    assert {**then_known, "allowedActions": []} == {**before, "allowedActions": []}


async def test_another_tenant_sees_nothing_of_it(demo: Demo, berlin: Workshop) -> None:
    visit = berlin.visit(Random(8))
    await stories.requested(visit)
    stranger = demo.api("polaris", "service_manager", "fleet_manager", "admin")

    for path in (
        visit.job["name"],
        f"{visit.job['name']}/history",
        visit.vehicle,
        f"{visit.vehicle}/serviceHistory",
        berlin.technicians[0],
        f"{berlin.technicians[0]}/workload",
        berlin.site,
    ):
        assert await _status(stranger, path) == 404, path
    listed = await stranger.get("/v1/jobs", query=visit.job["number"], site=berlin.site)
    assert listed["jobs"] == []


async def test_a_manager_of_another_site_may_not_touch_it(demo: Demo, berlin: Workshop) -> None:
    visit = berlin.visit(Random(9))
    await stories.requested(visit)
    vienna = demo.workshops[1].site.removeprefix("sites/")
    other = demo.api("acme", "service_manager", sites=[vienna])

    assert await _status(other, visit.job["name"]) == 403


async def _watch(manager: Api, visit: Visit, streamed: list[str]) -> None:
    async for frame in manager.frames("/v1/jobs:stream"):
        if visit.job and frame.get("stream") == visit.job["name"].removeprefix("jobs/"):
            streamed.append(frame["type"].rpartition(".")[2])
        if streamed and streamed[-1] == "JobClosed":
            return


async def _status(caller: Api, path: str) -> int:
    try:
        await caller.get(f"/v1/{path}")
    except Refused as refusal:
        return int(refusal.problem["status"])
    return 200


async def _published(stack: Stack, job: str) -> list[str]:
    """Types of the job's events on the topic, as any Kafka client reads them."""
    consumer: Any = AIOKafkaConsumer(**connection(stack.parts.environments.kafka))
    await consumer.start()
    try:
        partitions = [TopicPartition(JOBS, number) for number in range(16)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found: list[tuple[int, str]] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    headers = {name: value.decode("latin-1") for name, value in record.headers}
                    if headers["ce_subject"] == job:
                        kind = headers["ce_type"].rpartition(".")[2]
                        found.append((int(headers["ce_streamver"]), kind))
        return [kind for _, kind in sorted(set(found))]
    finally:
        await consumer.stop()
