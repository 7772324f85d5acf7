"""Deferred lines, reopened visits, and certificates revoked in retrospect."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bayline.workshop.v1 import job_pb2

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration


async def test_a_deferred_line_comes_back_at_the_next_check_in_with_its_words(
    shop: "Shop",
) -> None:
    site = await shop.site()
    vehicle = await shop.vehicle()
    first = await _estimated(shop, site.name, vehicle)
    first = await shop.step(first, "DeferLines", lines=[1], estimate_version=1)
    await shop.step(first, "ReleaseVehicle", odometer=shop.reading(120_001))
    await shop.feed.drain()

    second = await shop.planned(site.name, vehicle)
    second = await shop.step(second, "CheckInVehicle", odometer=shop.reading(130_000))
    read = (await shop.ask("GetJob", name=second.name)).message
    await shop.feed.drain()
    await shop.step(second, "CancelJob", note="Sold after all")
    await shop.feed.drain()
    third = await shop.planned(site.name, vehicle)
    third = await shop.step(third, "CheckInVehicle", odometer=shop.reading(140_000))

    (line,) = second.lines
    assert (line.state, line.code) == (job_pb2.LINE_STATE_PROPOSED, "013-001-015")
    assert line.description == "Replace front pads"
    assert line.returned_from == f"{first.name}/lines/1"
    assert read == second
    assert [line.returned_from for line in third.lines] == [f"{first.name}/lines/1"]


async def test_a_line_is_taken_back_by_one_job_only(shop: "Shop") -> None:
    site = await shop.site()
    vehicle = await shop.vehicle()
    first = await _estimated(shop, site.name, vehicle)
    first = await shop.step(first, "DeferLines", lines=[1], estimate_version=1)
    await shop.step(first, "ReleaseVehicle", odometer=shop.reading(120_001))
    await shop.feed.drain()
    jobs = [await shop.planned(site.name, vehicle) for _ in range(2)]

    one = await shop.step(jobs[0], "CheckInVehicle", odometer=shop.reading(130_000))
    unaware = await shop.refusal(
        "CheckInVehicle", name=jobs[1].name, odometer=shop.reading(130_000)
    )
    await shop.feed.drain()
    other = await shop.step(jobs[1], "CheckInVehicle", odometer=shop.reading(130_000))

    assert len(one.lines) == 1
    assert (unaware.reason, unaware.facts["job_id"]) == ("DEFERRED_LINE_TAKEN", one.name)
    assert len(other.lines) == 0


async def test_a_certificate_revoked_in_retrospect_flags_the_jobs_it_was_needed_for(
    shop: "Shop",
) -> None:
    site = await shop.site("Bay 1", "Bay 2")
    technician = await shop.technician("BRAKES", "TYRES")
    job = await shop.ready(site.name, certification="BRAKES")
    job = await shop.started(job, technician, site.bays[0].name)
    job = await shop.step(job, "HoldJob", reason=job_pb2.HOLD_REASON_PARTS)
    other = await shop.ready(site.name, certification="TYRES")
    other = await shop.started(other, technician, site.bays[1].name)
    await shop.feed.drain()

    await shop.revoke(technician, "BRAKES", shop.now() - timedelta(days=1))
    await shop.revoke(technician, "BRAKES", shop.now() - timedelta(days=1))

    flagged = (await shop.ask("GetJob", name=job.name)).message
    unflagged = (await shop.ask("GetJob", name=other.name)).message
    assert [(flag.reason, flag.about) for flag in flagged.flags] == [
        ("CERTIFICATION_WAS_REVOKED", technician)
    ]
    assert list(unflagged.flags) == []


async def test_a_start_that_passed_a_revocation_on_its_way_is_flagged_as_well(
    shop: "Shop",
) -> None:
    site = await shop.site()
    technician = await shop.technician("BRAKES")
    job = await shop.ready(site.name, certification="BRAKES")
    await shop.started(job, technician, site.bays[0].name)
    await shop.revoke(technician, "BRAKES", shop.now() - timedelta(days=1))

    before = (await shop.ask("GetJob", name=job.name)).message
    await shop.feed.drain()
    after = (await shop.ask("GetJob", name=job.name)).message

    assert list(before.flags) == []
    assert [flag.reason for flag in after.flags] == ["CERTIFICATION_WAS_REVOKED"]


async def test_a_job_that_comes_back_is_a_new_visit(shop: "Shop") -> None:
    site = await shop.site()
    technician = await shop.technician()
    job = await shop.started(await shop.ready(site.name), technician, site.bays[0].name)
    job = await shop.step(job, "CompleteLine", line=1)
    job = await shop.step(job, "StopLabour", technician=technician)
    job = await shop.step(job, "CompleteWork")
    job = await shop.step(job, "PassQc")
    job = await shop.step(job, "ReleaseVehicle", odometer=shop.reading(120_050))

    job = await shop.step(
        job, "ReopenJob", note="Grinds again", odometer=shop.reading(120_100), code="013-001-015"
    )

    assert (job.visit, job.comeback) == (2, True)
    assert job.state == job_pb2.JOB_STATE_CHECKED_IN


async def _estimated(shop: "Shop", site: str, vehicle: str) -> job_pb2.Job:
    job = await shop.planned(site, vehicle)
    job = await shop.step(job, "CheckInVehicle", odometer=shop.reading(120_000))
    job = await shop.step(job, "RecordDiagnosis", cause="Pads worn")
    line = job_pb2.LineEstimate(code="013-001-015", description="Replace front pads")
    return await shop.step(job, "IssueEstimate", lines=[line])
