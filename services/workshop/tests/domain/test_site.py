from dataclasses import replace
from uuid import UUID

import pytest

from eventstore.store import Claim
from testkit.given import Given
from workshop.domain import errors
from workshop.domain.errors import (
    BayLabelTaken,
    BayNotFound,
    OpeningHoursInvalid,
    SiteCodeTaken,
    SiteNotFound,
    SiteOpenAlready,
    UnknownCurrency,
    UnknownZone,
)
from workshop.domain.site import (
    SITE,
    AddBay,
    AnySite,
    BayAdded,
    BayRetired,
    LabourRateSet,
    NewBays,
    NoSite,
    OpeningHoursSet,
    OpenSite,
    RenameSite,
    RetireBay,
    SetLabourRate,
    SetOpeningHours,
    SetTaxRates,
    Site,
    SiteEvent,
    SiteOpened,
    SiteRenamed,
    TaxRatesSet,
    decide,
    evolve,
)
from workshop.domain.values import Bay, BayId, OpeningHours, TaxRates, Weekday

given: Given[AnySite, SiteEvent] = Given(evolve, NoSite())

GERMAN_TAX = TaxRates(190_000, 190_000, 0)
WEEKDAYS = (OpeningHours(Weekday.MONDAY, "07:00", "18:00"),)
BAY_1, BAY_2 = BayId("bay-1"), BayId("bay-2")
NONE = NewBays()
OPEN = OpenSite(
    title="Berlin North",
    code="BER",
    zone="Europe/Berlin",
    currency="EUR",
    labour_rate_minor=9_500,
    tax_rates=GERMAN_TAX,
    hours=WEEKDAYS,
    bays=("Bay 1", "Bay 2"),
)
OPENED = (
    SiteOpened("Berlin North", "BER", "Europe/Berlin", "EUR"),
    TaxRatesSet(GERMAN_TAX),
    LabourRateSet(9_500),
    OpeningHoursSet(WEEKDAYS),
    BayAdded(BAY_1, "Bay 1"),
    BayAdded(BAY_2, "Bay 2"),
)


def test_a_site_opens_with_prices_hours_and_bays() -> None:
    assert given().when(decide, OPEN, NewBays((BAY_1, BAY_2))) == list(OPENED)
    assert given(*OPENED).state == Site(
        "Berlin North",
        "BER",
        "Europe/Berlin",
        "EUR",
        9_500,
        GERMAN_TAX,
        WEEKDAYS,
        (Bay(BAY_1, "Bay 1"), Bay(BAY_2, "Bay 2")),
    )


def test_a_site_opens_once() -> None:
    with pytest.raises(SiteOpenAlready):
        given(*OPENED).when(decide, OPEN, NewBays((BAY_1, BAY_2)))

    assert given(*OPENED, replace(OPENED[0], title="Other")).state == given(*OPENED).state


def test_a_site_lies_in_a_known_zone() -> None:
    with pytest.raises(UnknownZone) as refusal:
        given().when(decide, replace(OPEN, zone="Europe/Atlantis"), NONE)

    assert refusal.value.facts == {"zone": "Europe/Atlantis"}


def test_a_site_charges_in_a_known_currency() -> None:
    with pytest.raises(UnknownCurrency) as refusal:
        given().when(decide, replace(OPEN, currency="XYZ"), NONE)

    assert refusal.value.facts == {"currency": "XYZ"}


def test_two_bays_of_a_new_site_do_not_share_a_label() -> None:
    with pytest.raises(BayLabelTaken):
        given().when(decide, replace(OPEN, bays=("Bay 1", "Bay 1")), NewBays((BAY_1, BAY_2)))


def test_a_code_belongs_to_one_site() -> None:
    holder = UUID("0190a5d2-7c1e-7b3a-9f00-000000000007")

    refusal = SITE.taken("site-code", "BER", holder)

    assert SITE.claims(given(*OPENED).state) == {Claim("site-code", "BER")}
    assert SITE.claims(NoSite()) == set()
    assert isinstance(refusal, SiteCodeTaken)
    assert refusal.facts == {"site_id": f"sites/{holder}", "code": "BER"}


def test_what_was_never_opened_cannot_be_renamed() -> None:
    with pytest.raises(SiteNotFound):
        given().when(decide, RenameSite("Berlin"), NONE)

    assert given(SiteRenamed("Berlin")).state == NoSite()


def test_a_site_is_renamed() -> None:
    assert given(*OPENED).when(decide, RenameSite("Berlin"), NONE) == [SiteRenamed("Berlin")]


def test_tax_rates_change() -> None:
    reduced = TaxRates(160_000, 160_000, 0)

    assert given(*OPENED).when(decide, SetTaxRates(reduced), NONE) == [TaxRatesSet(reduced)]


def test_labour_gets_dearer() -> None:
    assert given(*OPENED).when(decide, SetLabourRate(9_900), NONE) == [LabourRateSet(9_900)]


def test_opening_hours_change() -> None:
    split = (
        OpeningHours(Weekday.SATURDAY, "13:00", "16:00"),
        OpeningHours(Weekday.SATURDAY, "08:00", "13:00"),
    )

    assert given(*OPENED).when(decide, SetOpeningHours(split), NONE) == [OpeningHoursSet(split)]


@pytest.mark.parametrize(
    "hours",
    [
        (OpeningHours(Weekday.MONDAY, "18:00", "07:00"),),
        (OpeningHours(Weekday.MONDAY, "07:00", "07:00"),),
        (
            OpeningHours(Weekday.MONDAY, "12:59", "18:00"),
            OpeningHours(Weekday.MONDAY, "07:00", "13:00"),
        ),
    ],
)
def test_a_day_opens_before_it_closes_and_its_spans_do_not_overlap(
    hours: tuple[OpeningHours, ...],
) -> None:
    with pytest.raises(OpeningHoursInvalid) as refusal:
        given(*OPENED).when(decide, SetOpeningHours(hours), NONE)

    assert refusal.value.facts == {"day": "MONDAY"}


def test_a_bay_is_added() -> None:
    new = BayId("bay-3")

    assert given(*OPENED).when(decide, AddBay("Bay 3"), NewBays((new,))) == [BayAdded(new, "Bay 3")]


def test_a_label_means_one_bay() -> None:
    with pytest.raises(BayLabelTaken) as refusal:
        given(*OPENED).when(decide, AddBay("Bay 1"), NewBays((BayId("bay-3"),)))

    assert refusal.value.facts == {"label": "Bay 1"}


def test_a_retired_bay_gives_its_label_free() -> None:
    new = BayId("bay-3")

    assert given(*OPENED, BayRetired(BAY_1)).when(decide, AddBay("Bay 1"), NewBays((new,))) == [
        BayAdded(new, "Bay 1")
    ]


def test_a_bay_is_retired() -> None:
    assert given(*OPENED).when(decide, RetireBay(BAY_1), NONE) == [BayRetired(BAY_1)]
    site = given(*OPENED, BayRetired(BAY_1)).state
    assert isinstance(site, Site)
    assert site.bays == (Bay(BAY_1, "Bay 1", retired=True), Bay(BAY_2, "Bay 2"))


def test_a_bay_is_retired_once() -> None:
    with pytest.raises(errors.BayRetired):
        given(*OPENED, BayRetired(BAY_1)).when(decide, RetireBay(BAY_1), NONE)


def test_an_unknown_bay_is_not_retired() -> None:
    with pytest.raises(BayNotFound):
        given(*OPENED).when(decide, RetireBay(BayId("elsewhere")), NONE)
