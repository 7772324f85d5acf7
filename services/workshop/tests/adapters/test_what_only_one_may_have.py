"""Rules across jobs: one wins, the others are told who has it."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bayline.workshop.v1 import job_pb2

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration

RACERS = 50
BAYS = [f"Bay {number}" for number in range(1, RACERS + 1)]


async def test_fifty_jobs_start_one_technician_and_one_wins(shop: "Shop") -> None:
    site = await shop.site(*BAYS)
    technician = await shop.technician()
    jobs = await asyncio.gather(*(shop.ready(site.name) for _ in range(RACERS)))

    won, lost = await shop.race(
        shop.started(job, technician, bay.name) for job, bay in zip(jobs, site.bays, strict=True)
    )

    assert len(won) == 1
    assert Counter(each.reason for each in lost) == {"TECHNICIAN_CLOCKED_ELSEWHERE": RACERS - 1}
    assert {each.facts["job_id"] for each in lost} == {won[0].name}


async def test_fifty_jobs_book_one_slot_and_one_wins(shop: "Shop") -> None:
    site = await shop.site()
    jobs = await asyncio.gather(*(shop.planned(site.name) for _ in range(RACERS)))
    slot = {"start": shop.now() + timedelta(days=1), "end": shop.now() + timedelta(days=1, hours=2)}

    won, lost = await shop.race(
        shop.step(job, "BookBay", bay=site.bays[0].name, slot=slot) for job in jobs
    )

    assert len(won) == 1
    assert Counter(each.reason for each in lost) == {"SLOT_TAKEN": RACERS - 1}
    assert {each.facts["job_id"] for each in lost} == {won[0].name}


async def test_fifty_requests_for_the_same_defect_open_one_job(shop: "Shop") -> None:
    site = await shop.site()
    vehicle = await shop.vehicle()

    won, lost = await shop.race(
        shop.requested(site.name, vehicle, system_code="013") for _ in range(RACERS)
    )

    assert len(won) == 1
    assert Counter(each.reason for each in lost) == {"DUPLICATE_JOB": RACERS - 1}
    assert {each.facts["job_id"] for each in lost} == {won[0].name}


async def test_a_request_sent_a_hundred_times_opens_one_job(shop: "Shop") -> None:
    site = await shop.site()
    vehicle = await shop.vehicle()
    asked: dict[str, Any] = {
        "site": site.name,
        "vehicle": vehicle,
        "source": job_pb2.JOB_SOURCE_DRIVER,
        "complaint": "Brakes grind when cold",
        "request_id": "sent-a-hundred-times",
    }

    replies = await asyncio.gather(*(shop.ask("RequestJob", **asked) for _ in range(100)))
    late = await shop.ask("RequestJob", **asked)

    assert {reply.message.SerializeToString() for reply in replies} == {
        late.message.SerializeToString()
    }
    assert {reply.version for reply in replies} == {late.version} == {1}
    assert sum(not reply.replayed for reply in replies) == 1
    assert late.replayed
    assert await shop.events(late.message) == 1


async def test_a_key_used_for_something_else_is_refused(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.requested(site.name, request_id="used-for-a-request")

    problem = await shop.refusal(
        "CancelJob", name=job.name, note="Sold", request_id="used-for-a-request"
    )

    assert problem.reason == "KEY_REUSED"
    assert await shop.events(job) == 1


async def test_a_clock_is_not_corrected_into_another_jobs_time(shop: "Shop") -> None:
    site = await shop.site()
    technician = await shop.technician()
    first, second = await asyncio.gather(shop.ready(site.name), shop.ready(site.name))
    first = await shop.started(first, technician, site.bays[0].name)
    first = await shop.step(first, "StopLabour", technician=technician)
    second = await shop.started(second, technician, site.bays[1].name)
    second = await shop.step(second, "StopLabour", technician=technician)
    events = await shop.events(second)

    clock = first.labour[0]
    problem = await shop.refusal(
        "CorrectLabour",
        name=second.name,
        labour=1,
        started_at=clock.started_at,
        stopped_at=clock.stopped_at,
        reason="Forgot to stop",
    )

    assert problem.reason == "TECHNICIAN_CLOCKED_ELSEWHERE"
    assert problem.facts["job_id"] == first.name
    assert await shop.events(second) == events


async def test_invoice_numbers_have_no_gaps_however_many_invoice_at_once(shop: "Shop") -> None:
    site = await shop.site(*BAYS[:12])
    jobs = await asyncio.gather(*(_released(shop, site.name, bay.name) for bay in site.bays))

    invoiced = await asyncio.gather(*(shop.step(job, "InvoiceJob") for job in jobs))

    numbers = sorted(int(job.invoice.number.rpartition("-")[2]) for job in invoiced)
    assert numbers == list(range(1, 13))


async def _released(shop: "Shop", site: str, bay: str) -> job_pb2.Job:
    technician = await shop.technician()
    job = await shop.started(await shop.ready(site), technician, bay)
    job = await shop.step(job, "CompleteLine", line=1)
    job = await shop.step(job, "StopLabour", technician=technician)
    job = await shop.step(job, "CompleteWork")
    job = await shop.step(job, "PassQc")
    return await shop.step(job, "ReleaseVehicle", odometer=shop.reading(120_050))
