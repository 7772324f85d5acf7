"""History in words, and jobs as they stood and as they were known."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration


async def test_a_job_is_shown_as_it_stood_and_as_it_was_known(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.planned(site.name)
    job = await shop.step(job, "CheckInVehicle", odometer=shop.reading(1_200_000))
    then = shop.now()
    snapshot = (await shop.ask("GetJob", name=job.name)).message
    await shop.step(
        job,
        "CorrectMeter",
        kind=1,
        odometer=shop.reading(120_000),
        read_at=then - timedelta(days=1),
        reason="One digit too many",
    )

    stood = (await shop.ask("GetJob", name=job.name, as_of=then, known_at=then)).message
    corrected = (await shop.ask("GetJob", name=job.name, as_of=then)).message
    before = await shop.refusal("GetJob", name=job.name, as_of=then - timedelta(days=2))

    del snapshot.allowed_actions[:]
    assert stood == snapshot
    assert stood.meter_in.metres == 1_200_000_000
    assert corrected.meter_in.metres == 120_000_000
    assert list(corrected.allowed_actions) == []
    assert before.reason == "JOB_NOT_FOUND"


async def test_now_is_the_same_however_it_is_asked_for(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.ready(site.name)
    later = shop.now() + timedelta(minutes=1)

    asked = (await shop.ask("GetJob", name=job.name, as_of=later, known_at=later)).message

    del job.allowed_actions[:]
    assert asked == job


async def test_history_tells_what_happened_in_words(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.planned(site.name)

    entries = (await shop.ask("GetJobHistory", name=job.name)).message.entries

    assert [(entry.version, entry.type, entry.actor) for entry in entries] == [
        (1, "JobRequested", "service_manager"),
        (2, "JobTriaged", "service_manager"),
    ]
    assert "Brakes grind when cold" in entries[0].text


async def test_a_stale_etag_is_refused_and_nothing_is_stored(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.planned(site.name)

    problem = await shop.refusal("CancelJob", name=job.name, note="Sold", etag="1")

    assert (problem.reason, problem.facts["current_version"]) == ("STALE_VERSION", "2")
    assert await shop.events(job) == 2


async def test_what_people_said_is_not_in_the_log_in_the_clear(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.requested(site.name)

    query = "SELECT data || meta FROM es.event WHERE tenant = %s"
    async with shop.running.relay.connection() as connection:
        stored = await (await connection.execute(query, (shop.tenant,))).fetchall()

    assert job.complaint == "Brakes grind when cold"
    assert not any(b"grind" in data for (data,) in stored)
