"""Sites and settings: who may set them, and that they are in force at once."""

from uuid import UUID

import pytest

from services.workshop.tests.application.people import (
    BERLIN,
    NOON,
    STRANGER,
    TENANT,
    NotAllowed,
    Person,
    Workshop,
)
from workshop.domain.errors import SiteNotFound
from workshop.domain.site import AddBay, OpenSite, RenameSite
from workshop.domain.tenant import SetApprovalThreshold
from workshop.domain.values import SiteId, TaxRates

HAMBURG = SiteId("00000000-0000-7000-8000-0000000000dd")
OPENED = OpenSite("Hamburg", "HAM", "Europe/Berlin", "EUR", 9500, TaxRates(0, 0, 0), (), ())


async def test_each_bay_gets_an_id_of_its_own(workshop: Workshop) -> None:
    answer = await workshop.sites.run(AddBay("Bay 3"), BERLIN, Person(), workshop.metadata())

    known = await workshop.site_reader.site(TENANT, BERLIN, Person())
    assert known.value == answer.state
    assert [bay.label for bay in known.value.bays] == ["Bay 1", "Bay 2", "Bay 3"]
    assert len({bay.id for bay in known.value.bays}) == 3


async def test_a_site_is_renamed(workshop: Workshop) -> None:
    await workshop.sites.run(RenameSite("Berlin South"), BERLIN, Person(), workshop.metadata())

    known = await workshop.site_reader.site(TENANT, BERLIN, Person())
    assert (known.value.title, known.version) == ("Berlin South", 7)


async def test_a_site_that_is_not_there_is_neither_changed_nor_shown(workshop: Workshop) -> None:
    with pytest.raises(SiteNotFound):
        await workshop.sites.run(RenameSite("x"), HAMBURG, Person(), workshop.metadata())
    with pytest.raises(SiteNotFound):
        await workshop.site_reader.site(TENANT, HAMBURG, Person())


async def test_nobody_opens_changes_or_sees_a_site_without_leave(workshop: Workshop) -> None:
    with pytest.raises(NotAllowed):
        await workshop.sites.run(OPENED, HAMBURG, STRANGER, workshop.metadata())
    with pytest.raises(NotAllowed):
        await workshop.sites.run(RenameSite("x"), BERLIN, STRANGER, workshop.metadata())
    with pytest.raises(NotAllowed):
        await workshop.site_reader.site(TENANT, BERLIN, STRANGER)


async def test_a_page_of_sites_names_those_that_cannot_be_read(workshop: Workshop) -> None:
    workshop.site_store.append_unread(TENANT, UUID(HAMBURG), "sites.SomethingNew", NOON)

    shown, unread = await workshop.site_reader.sites_of(TENANT, [HAMBURG, BERLIN], Person())

    assert [site for site, _ in shown] == [BERLIN]
    assert unread == [HAMBURG]


async def test_settings_are_in_force_at_once(workshop: Workshop) -> None:
    before = await workshop.site_reader.settings(TENANT, Person())
    await workshop.settings.run(SetApprovalThreshold(500, "EUR"), Person(), workshop.metadata())
    after = await workshop.site_reader.settings(TENANT, Person())

    assert (before.value.threshold_minor("EUR"), before.version) == (0, 0)
    assert (after.value.threshold_minor("EUR"), after.version) == (500, 1)
    assert after.value.threshold_minor("JPY") == 0


async def test_nobody_sets_or_sees_settings_without_leave(workshop: Workshop) -> None:
    with pytest.raises(NotAllowed):
        await workshop.settings.run(SetApprovalThreshold(1, "EUR"), STRANGER, workshop.metadata())
    with pytest.raises(NotAllowed):
        await workshop.site_reader.settings(TENANT, STRANGER)
