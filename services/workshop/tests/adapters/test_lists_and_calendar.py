"""Lists, search, pages and the bay calendar: projected, and never older than what one has seen."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bayline.workshop.v1 import job_pb2
from runtime.database import rows

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration


async def listed(shop: "Shop", **fields: Any) -> list[str]:
    return [job.number for job in (await shop.ask("ListJobs", **fields)).message.jobs]


async def test_jobs_are_filtered_sorted_and_searched(shop: "Shop") -> None:
    berlin, hamburg = await shop.site(code="BER"), await shop.site(code="HAM")
    truck = await shop.vehicle("HH-TR 77", "WDB9634031L777777")
    first = await shop.planned(berlin.name)
    await shop.requested(hamburg.name, truck)
    await shop.requested(hamburg.name, by=shop.person("driver", subject="driver-1"))
    technician = await shop.technician()
    await shop.step(first, "AssignTechnician", technician=technician)
    await shop.feed.drain()
    me = shop.person("technician", technician=technician.removeprefix("technicians/"))

    assert await listed(shop) == ["J-1003", "J-1002", "J-1001"]
    assert await listed(shop, order_by="number") == ["J-1001", "J-1002", "J-1003"]
    assert (await listed(shop, order_by="priority desc"))[0] == "J-1001"
    assert (await listed(shop, order_by="changed_at desc"))[0] == "J-1001"
    assert await listed(shop, states=[job_pb2.JOB_STATE_PLANNED]) == ["J-1001"]
    assert await listed(shop, site=hamburg.name) == ["J-1003", "J-1002"]
    assert await listed(shop, vehicle=truck) == ["J-1002"]
    assert await listed(shop, technician=technician) == ["J-1001"]
    assert await listed(shop, mine=True, by=me) == ["J-1001"]
    assert await listed(shop, query="j-1002") == ["J-1002"]
    assert await listed(shop, query="tr 77") == ["J-1002"]
    assert await listed(shop, query="777777") == ["J-1002"]
    assert await listed(shop, query="J_100%") == []


async def test_pages_follow_one_another_without_gap_or_repeat(shop: "Shop") -> None:
    site = await shop.site()
    await asyncio.gather(*(shop.requested(site.name) for _ in range(7)))
    await shop.feed.drain()

    for order in ("", "number desc", "promised_at", "priority"):
        seen, token = [], ""
        while True:
            asked: dict[str, Any] = {"order_by": order, "page_size": 3, "page_token": token}
            page = (await shop.ask("ListJobs", **asked)).message
            seen += [job.number for job in page.jobs]
            token = page.next_page_token
            if not token:
                break
        assert seen == await listed(shop, order_by=order)
        assert len(set(seen)) == 7


async def test_a_page_token_is_good_for_its_own_query_only(shop: "Shop") -> None:
    site = await shop.site()
    for _ in range(2):
        await shop.requested(site.name)
    await shop.feed.drain()
    page = (await shop.ask("ListJobs", page_size=1)).message

    other = await shop.refusal("ListJobs", page_token=page.next_page_token, order_by="number")
    made_up = await shop.refusal("ListJobs", page_token="made-up")

    assert {other.reason, made_up.reason} == {"PAGE_TOKEN_UNREADABLE"}


async def test_a_list_shows_what_the_caller_has_seen(shop: "Shop") -> None:
    site = await shop.site()
    vehicle = await shop.vehicle()
    reply = await shop.ask(
        "RequestJob",
        site=site.name,
        vehicle=vehicle,
        source=job_pb2.JOB_SOURCE_STAFF,
        complaint="Brakes grind",
    )

    early = await shop.refusal("ListJobs", after=reply.position)
    seen, _ = await asyncio.gather(shop.ask("ListJobs", after=reply.position), shop.feed.drain())

    assert early.reason == "FACTS_NOT_YET_KNOWN"
    assert [job.name for job in seen.message.jobs] == [reply.message.name]


async def test_the_calendar_shows_who_holds_which_bay(shop: "Shop") -> None:
    site = await shop.site()
    bay = site.bays[0].name
    planned, at_work = await shop.planned(site.name), await shop.ready(site.name)
    tomorrow = shop.now() + timedelta(days=1)
    slot = {"start": tomorrow, "end": tomorrow + timedelta(hours=2)}
    await shop.step(planned, "BookBay", bay=bay, slot=slot)
    await shop.started(at_work, await shop.technician(), bay)
    await shop.feed.drain()
    week: dict[str, Any] = {"start": shop.now(), "end": shop.now() + timedelta(days=7)}

    calendar = (await shop.ask("GetBayCalendar", name=site.name, **week)).message
    nothing = await shop.ask(
        "GetBayCalendar", name=site.name, start=week["end"], end=week["end"] + timedelta(days=1)
    )
    too_long = await shop.refusal(
        "GetBayCalendar", name=site.name, start=shop.now(), end=shop.now() + timedelta(days=32)
    )

    assert [(entry.job, entry.bay, entry.occupied) for entry in calendar.entries] == [
        (at_work.name, bay, True),
        (planned.name, bay, False),
    ]
    assert list(nothing.message.entries) == []
    assert too_long.reason == "SLOT_INVALID"


async def test_sites_are_listed_by_title(shop: "Shop") -> None:
    berlin, hamburg = await shop.site(code="BER"), await shop.site(code="HAM")
    await shop.step_site(berlin, "RenameSite", title="Zehlendorf")
    await shop.feed.drain()
    clerk = shop.person("parts_clerk", sites=(hamburg.name.removeprefix("sites/"),))

    first = (await shop.ask("ListSites", page_size=1)).message
    second = (await shop.ask("ListSites", page_size=1, page_token=first.next_page_token)).message
    theirs = (await shop.ask("ListSites", by=clerk)).message

    assert [site.title for site in (*first.sites, *second.sites)] == ["Berlin HAM", "Zehlendorf"]
    assert second.next_page_token == ""
    assert [site.name for site in theirs.sites] == [hamburg.name]


async def test_search_finds_plates_by_their_index(shop: "Shop") -> None:
    """Under row level security a plain LIKE could not use it."""
    await shop.vehicle("B-AY 42")

    found = await rows(shop.running.app, shop.tenant, "SELECT read.vehicles_like('AY 4')")
    elsewhere = await rows(shop.running.app, "another", "SELECT read.vehicles_like('AY 4')")

    assert (len(found), elsewhere) == (1, [])
