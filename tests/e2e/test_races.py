"""Many at once: one wins, the others learn who."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from random import Random
from typing import Any

from devstack import stories
from devstack.api import Refused
from devstack.demo import Demo
from devstack.stories import Visit, Workshop, hours_from_now

RACERS = 50


async def _all_outcomes(races: list[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*races, return_exceptions=True)


def _won_and_lost(outcomes: list[Any]) -> tuple[list[Any], list[Refused]]:
    won = [each for each in outcomes if not isinstance(each, BaseException)]
    lost = [each for each in outcomes if isinstance(each, Refused)]
    assert len(won) + len(lost) == len(outcomes), outcomes
    return won, lost


async def _ready_jobs(workshop: Workshop, count: int) -> list[Visit]:
    visits = [workshop.visit(Random(number)) for number in range(count)]
    limit = asyncio.Semaphore(8)

    async def prepared(visit: Visit) -> None:
        async with limit:
            await stories.ready(visit)

    await asyncio.gather(*map(prepared, visits))
    return visits


async def test_fifty_jobs_start_one_technician_and_one_gets_her(
    demo: Demo, chicago: Workshop
) -> None:
    admin = demo.api("polaris", "admin")
    bays = [
        (
            await admin.post(
                f"/v1/{chicago.site}:addBay", {"label": f"Race {demo.run} {n}"}, key=demo.key()
            )
        )["bays"][-1]["name"]
        for n in range(RACERS)
    ]
    visits = await _ready_jobs(chicago, RACERS)
    ada = await demo._technician(admin, chicago.site, 9)
    await demo.api("polaris", "service_manager").get(f"/v1/{ada}")

    outcomes = await _all_outcomes(
        [
            visit.command(
                "manager", "startWork", technician=ada, bay=bay, plannedEnd=hours_from_now(2)
            )
            for visit, bay in zip(visits, bays, strict=True)
        ]
    )

    won, lost = _won_and_lost(outcomes)
    [winner] = [visit for visit in visits if visit.job["state"] == "JOB_STATE_IN_PROGRESS"]
    assert len(won) == 1
    assert Counter(each.reason for each in lost) == {"TECHNICIAN_CLOCKED_ELSEWHERE": RACERS - 1}
    assert {each.problem["jobId"] for each in lost} == {winner.job["name"]}
    await winner.command("manager", "stopLabour", technician=ada)
    await winner.command("manager", "leaveBay")


async def test_fifty_jobs_book_one_slot_and_one_gets_it(chicago: Workshop) -> None:
    visits = [chicago.visit(Random(number)) for number in range(RACERS)]
    for visit in visits:
        await stories.planned(visit)
    start = Random().randrange(1_000, 9_000)
    slot = {"start": hours_from_now(start), "end": hours_from_now(start + 1)}

    outcomes = await _all_outcomes(
        [visit.command("manager", "bookBay", bay=chicago.bays[0], slot=slot) for visit in visits]
    )

    won, lost = _won_and_lost(outcomes)
    [winner] = [visit for visit in visits if visit.job.get("booking")]
    assert len(won) == 1
    assert {(each.reason, each.problem["jobId"]) for each in lost} == {
        ("SLOT_TAKEN", winner.job["name"])
    }


async def test_fifty_requests_for_one_fault_open_one_job(demo: Demo, chicago: Workshop) -> None:
    body = {
        "site": chicago.site,
        "vehicle": chicago.vehicles[0],
        "source": "JOB_SOURCE_DRIVER",
        "complaint": "Brakes grind",
        "systemCode": f"{Random().randrange(100, 999)}",
    }
    driver = chicago.people["driver"]

    outcomes = await _all_outcomes(
        [driver.post("/v1/jobs", body, key=demo.key()) for _ in range(RACERS)]
    )

    won, lost = _won_and_lost(outcomes)
    assert len(won) == 1
    assert {(each.reason, each.problem["jobId"]) for each in lost} == {
        ("DUPLICATE_JOB", won[0]["name"])
    }


async def test_one_key_sent_a_hundred_times_is_one_job_and_one_answer(
    demo: Demo, chicago: Workshop
) -> None:
    body = {
        "site": chicago.site,
        "vehicle": chicago.vehicles[1],
        "source": "JOB_SOURCE_STAFF",
        "complaint": "Leaks oil",
    }
    driver, key = chicago.people["driver"], demo.key()

    outcomes = await _all_outcomes([driver.post("/v1/jobs", body, key=key) for _ in range(100)])
    later = await driver.post("/v1/jobs", body, key=key)

    won, lost = _won_and_lost(outcomes)
    assert lost == []
    assert all(each == later for each in won)
    assert later["etag"] == "1"


async def test_a_key_used_for_another_request_is_refused(demo: Demo, chicago: Workshop) -> None:
    visit = chicago.visit(Random(3))
    await stories.requested(visit)
    manager, key = chicago.people["manager"], demo.key()
    path = f"/v1/{visit.job['name']}:triage"
    first = {"priority": "PRIORITY_EMERGENCY", "reason": "REPAIR_REASON_BREAKDOWN"}
    await manager.post(path, first, key=key)

    [refusal] = await _all_outcomes(
        [manager.post(path, {**first, "priority": "PRIORITY_SCHEDULED"}, key=key)]
    )

    assert (refusal.reason, refusal.problem["status"]) == ("KEY_REUSED", 422)


async def test_a_clock_cannot_be_corrected_into_another_jobs_time(
    demo: Demo, chicago: Workshop
) -> None:
    one, two = await _ready_jobs(chicago, 2)
    await stories.start_work(one)
    await one.command("manager", "stopLabour", technician=one.technician)
    await one.command("manager", "leaveBay")
    await stories.start_work(two)
    if two.technician != one.technician:
        await two.command("manager", "stopLabour", technician=two.technician)
        await two.command("manager", "startLabour", technician=one.technician)
    await two.command("manager", "stopLabour", technician=one.technician)
    await two.command("manager", "leaveBay")
    theirs = one.job["labour"][0]
    mine = two.job["labour"][-1]

    [refusal] = await _all_outcomes(
        [
            two.command(
                "manager",
                "correctLabour",
                labour=mine["labour"],
                startedAt=theirs["startedAt"],
                stoppedAt=mine["stoppedAt"],
                reason="Began earlier",
            )
        ]
    )

    assert refusal.reason == "TECHNICIAN_CLOCKED_ELSEWHERE"
    assert refusal.problem["jobId"] == one.job["name"]
