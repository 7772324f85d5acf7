"""Tenants, sites and roles: what is not yours is not there."""

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from runtime.database import rows

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration

ALL = SQL("SELECT * FROM {}")
READ_MODELS = [
    "job",
    "deferred_line",
    "returned_line",
    "clock",
    "site",
    "vehicle",
    "technician",
]


async def test_another_tenant_sees_nothing(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.requested(site.name)
    await shop.feed.drain()
    stranger = shop.person("admin", tenant="another")
    manager = shop.person("service_manager", tenant="another")

    read = await shop.refusal("GetJob", by=manager, name=job.name)
    told = await shop.refusal("GetJobHistory", by=manager, name=job.name)
    asked = await shop.refusal("CancelJob", by=manager, name=job.name, note="Mine now")
    seen = await shop.refusal("GetSite", by=stranger, name=site.name)
    listed = await shop.ask("ListJobs", by=manager)
    sites = await shop.ask("ListSites", by=stranger)

    assert [each.reason for each in (read, told, asked)] == ["JOB_NOT_FOUND"] * 3
    assert seen.reason == "SITE_NOT_FOUND"
    assert list(listed.message.jobs) == []
    assert list(sites.message.sites) == []
    assert await shop.events(job) == 1


async def test_staff_of_another_site_may_neither_see_nor_change_a_job(shop: "Shop") -> None:
    here, there = await shop.site(code="BER"), await shop.site(code="HAM")
    job = await shop.requested(here.name)
    other = there.name.removeprefix("sites/")
    stranger = shop.person("service_manager", sites=(other,))

    read = await shop.refusal("GetJob", by=stranger, name=job.name)
    asked = await shop.refusal("CancelJob", by=stranger, name=job.name, note="Mine now")
    late = await shop.refusal("CancelJob", by=stranger, name=job.name, note="Mine", etag="99")

    assert {each.reason for each in (read, asked, late)} == {"PERMISSION_DENIED"}
    assert await shop.events(job) == 1


async def test_a_driver_sees_what_he_or_she_asked_for(shop: "Shop") -> None:
    site = await shop.site()
    mine = await shop.requested(site.name, by=shop.person("driver", subject="driver-1"))
    theirs = await shop.requested(site.name, by=shop.person("driver", subject="driver-2"))
    await shop.feed.drain()
    driver = shop.person("driver", subject="driver-1")

    read = (await shop.ask("GetJob", by=driver, name=mine.name)).message
    refused = await shop.refusal("GetJob", by=driver, name=theirs.name)
    listed = (await shop.ask("ListJobs", by=driver)).message

    assert list(read.allowed_actions) == []
    assert refused.reason == "PERMISSION_DENIED"
    assert [job.name for job in listed.jobs] == [mine.name]


async def test_a_technician_starts_no_other_clock_than_his_or_her_own(shop: "Shop") -> None:
    site = await shop.site()
    mine, theirs = await shop.technician(), await shop.technician()
    job = await shop.ready(site.name)
    me = shop.person("technician", technician=mine.removeprefix("technicians/"))

    offered = (await shop.ask("GetJob", by=me, name=job.name)).message.allowed_actions
    refused = await shop.refusal(
        "StartWork",
        by=me,
        name=job.name,
        technician=theirs,
        bay=site.bays[0].name,
        planned_end=shop.now(),
    )
    started = await shop.started(job, mine, site.bays[0].name, by=me)

    assert refused.reason == "PERMISSION_DENIED"
    assert "startWork" in offered
    assert "invoice" not in offered
    assert started.labour[0].technician == mine


async def test_the_role_for_requests_has_no_rights_on_the_log(shop: "Shop") -> None:
    await shop.requested((await shop.site()).name)

    for table in ("event", "idem", "claim", "head"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with shop.running.app.connection() as connection:
                await connection.execute(ALL.format(Identifier("es", table)))


async def test_without_a_tenant_there_are_no_rows(shop: "Shop") -> None:
    site = await shop.site()
    await shop.requested(site.name)
    await shop.technician("BRAKES")
    await shop.feed.drain()

    for table in READ_MODELS:
        async with shop.running.app.connection() as connection:
            found = await connection.execute(ALL.format(Identifier("read", table)))
            assert await found.fetchall() == [], table
    assert len(await rows(shop.running.app, shop.tenant, "SELECT job FROM read.job")) == 1
    assert await rows(shop.running.app, "another", "SELECT job FROM read.job") == []
