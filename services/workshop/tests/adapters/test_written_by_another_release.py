"""Jobs, sites and settings that a newer release wrote to, or a disk spoiled."""

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from bayline.type.v1 import values_pb2
from testkit.unread import NEWER, SPOILED, append_unread
from testkit.unread_contract import Thing, UnreadContract
from workshop.adapters.codec import JOB_EVENTS, SITE_EVENTS, TENANT_EVENTS
from workshop.application.streams import SETTINGS_STREAM
from workshop.domain.job.events import LineCompleted
from workshop.domain.site import BayRetired
from workshop.domain.values import BayId

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration


def a_job(shop: "Shop") -> Thing:
    async def make() -> Any:
        sites = (await shop.ask("ListSites", by="admin")).message.sites
        site = sites[0] if sites else await shop.site()
        await shop.feed.drain()
        return await shop.requested(site.name)

    return Thing(
        shop,
        JOB_EVENTS.log,
        make,
        get="GetJob",
        change="TriageJob",
        fields={"priority": 1, "reason": 1},
        lists=("ListJobs", "jobs"),
        bring=shop.feed.drain,
        later=JOB_EVENTS.encode(LineCompleted(1)).SerializeToString(),
    )


def a_site(shop: "Shop") -> Thing:
    codes = count(1)

    async def make() -> Any:
        return await shop.site(code=f"B{next(codes)}")

    return Thing(
        shop,
        SITE_EVENTS.log,
        make,
        get="GetSite",
        change="RenameSite",
        fields={"title": "Berlin South"},
        by="admin",
        lists=("ListSites", "sites"),
        bring=shop.feed.drain,
        later=SITE_EVENTS.encode(BayRetired(BayId("1"))).SerializeToString(),
    )


def settings_of(shop: "Shop") -> Thing:
    async def make() -> Any:
        return (await shop.ask("GetSettings", by="admin")).message

    return Thing(
        shop,
        TENANT_EVENTS.log,
        make,
        get="GetSettings",
        change="SetApprovalThreshold",
        fields={"approval_threshold_minor": 5000, "currency": "EUR"},
        by="admin",
        stream=SETTINGS_STREAM,
    )


@pytest.mark.parametrize("of", [a_job, a_site, settings_of])
class TestWhatAnotherReleaseWrote(UnreadContract):
    @pytest.fixture
    def thing(self, shop: "Shop", of: Any) -> Thing:
        made: Thing = of(shop)
        return made


async def test_the_history_tells_what_is_known_of_an_event_that_cannot_be_read(
    shop: "Shop",
) -> None:
    thing = a_job(shop)
    job = await thing.make()
    await thing.written(job, NEWER)
    await thing.written(job, SPOILED)

    history = (await shop.ask("GetJobHistory", name=job.name)).message

    assert history.unread_events == 2
    assert [(each.version, each.type, each.unread) for each in history.entries] == [
        (1, "JobRequested", values_pb2.UNREAD_UNSPECIFIED),
        (2, "SomethingNew", values_pb2.UNREAD_NEWER_RELEASE),
        (3, "SomethingNew", values_pb2.UNREAD_DAMAGED),
    ]
    assert all(each.text and each.event_id for each in history.entries)
    assert all(each.recorded_at.seconds for each in history.entries)


async def test_a_job_is_shown_as_it_was_before_a_newer_release_wrote_to_it(shop: "Shop") -> None:
    thing = a_job(shop)
    job = await thing.make()
    then = shop.now()
    await thing.written(job, NEWER)

    before = (await shop.ask("GetJob", name=job.name, known_at=then)).message
    now = (await shop.ask("GetJob", name=job.name, known_at=shop.now())).message

    assert (before.unread_events, before.etag) == (0, "1")
    assert (now.unread_events, now.etag) == (1, "2")


async def test_a_job_of_which_nothing_can_be_read_is_not_said_to_be_missing(shop: "Shop") -> None:
    thing = a_job(shop)
    job = await thing.make()
    other = job.name[:-4] + "ffff"
    await append_unread(shop.running.app, thing.log, shop.tenant, other.rpartition("/")[2])

    for rpc in ("GetJob", "GetJobHistory"):
        refused = await shop.refusal(rpc, name=other)
        assert refused.reason == "WRITTEN_BY_A_NEWER_RELEASE"


async def test_nothing_is_decided_on_settings_or_a_site_that_are_not_known_as_a_whole(
    shop: "Shop",
) -> None:
    site, vehicle = await shop.site(), await shop.vehicle()
    job = await shop.requested(site.name, vehicle)
    await settings_of(shop).written(None, NEWER)

    asked = await shop.refusal(
        "RequestJob", site=site.name, vehicle=vehicle, source=1, complaint="It pulls left"
    )
    planned = await shop.step(job, "TriageJob", priority=1, reason=1)

    assert asked.reason == "WRITTEN_BY_A_NEWER_RELEASE"
    assert asked.facts["stream"] == str(SETTINGS_STREAM)
    assert planned.etag == "2"
