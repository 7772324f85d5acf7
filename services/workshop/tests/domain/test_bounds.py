"""A job stays one that a workshop can have, and that can be shown: both sides of each bound."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.workshop.tests.domain.stories import (
    BERND,
    BRAKES,
    CERTIFIED,
    DIAGNOSED,
    EARLIER_JOB,
    ESTIMATED,
    HOUR,
    NINE,
    NOON,
    PADS,
    PLANNED,
    PRICES,
    RELEASED,
    TEN,
    WIPERS,
    WORKING,
    as_asked,
    given,
    km,
    said,
)
from workshop.domain import bounds, site
from workshop.domain.errors import (
    NumberOutOfBounds,
    SumOutOfBounds,
    TooManyBays,
    TooManyClocks,
    TooManyLines,
)
from workshop.domain.job.commands import (
    CheckInVehicle,
    InvoiceJob,
    IssueEstimate,
    LineEstimate,
    ReportAdditionalWork,
    StartLabour,
)
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    EstimatedLine,
    EstimateIssued,
    JobEvent,
    LabourStarted,
    LabourStopped,
    VehicleCheckedIn,
)
from workshop.domain.job.facts import CheckInFacts, DeferredLine, InvoiceFacts
from workshop.domain.job.values import PartNeed
from workshop.domain.values import Bay, BayId, TaxRates

SECOND = timedelta(seconds=1)
HOURS_1000 = 1000 * HOUR
TRILLION = 10**12
NOTHING = LineEstimate(0, "013", said("Look"), timedelta(), (), 0, "")
MORE = ReportAdditionalWork("013", said("More"), "")


def accepted(command: Any, *past: JobEvent, facts: Any = None) -> bool:
    """Only a bound refuses here."""
    try:
        return bool(given(*past).when(decide, command, facts))
    except (NumberOutOfBounds, SumOutOfBounds, TooManyLines, TooManyClocks):
        return False


def estimate(*lines: LineEstimate) -> bool:
    return accepted(IssueEstimate(lines), *DIAGNOSED, facts=PRICES)


def part(quantity_milli: int = 1000, unit_price_minor: int = 0) -> LineEstimate:
    return replace(NOTHING, parts=(PartNeed("P", quantity_milli, unit_price_minor),))


def charging(minor: int) -> LineEstimate:
    return replace(NOTHING, fees_minor=minor)


@pytest.mark.parametrize(
    ("line", "held"),
    [
        (replace(NOTHING, labour=-SECOND), False),
        (replace(NOTHING, labour=-3_780_000 * SECOND), False),
        (replace(NOTHING, labour=timedelta(0)), True),
        (replace(NOTHING, labour=HOURS_1000), True),
        (replace(NOTHING, labour=HOURS_1000 + timedelta(microseconds=1)), False),
        (part(quantity_milli=0), False),
        (part(quantity_milli=1), True),
        (part(quantity_milli=10**9), True),
        (part(quantity_milli=10**9 + 1), False),
        (part(unit_price_minor=-1), False),
        (part(unit_price_minor=0), True),
        (part(unit_price_minor=TRILLION), True),
        (part(unit_price_minor=TRILLION + 1), False),
        (charging(-1), False),
        (charging(0), True),
        (charging(TRILLION), True),
        (charging(TRILLION + 1), False),
    ],
)
def test_a_line_is_one_that_a_workshop_can_do(line: LineEstimate, held: bool) -> None:
    assert estimate(line) is held


def test_a_refused_number_says_where_it_is_and_what_it_may_be() -> None:
    lines = IssueEstimate((NOTHING, replace(NOTHING, labour=-SECOND)))

    with pytest.raises(NumberOutOfBounds) as refusal:
        given(*DIAGNOSED).when(decide, lines, PRICES)

    assert refusal.value.violations[0].pointer == "/lines/1/labour"
    assert refusal.value.facts == {
        "value": "-1",
        "least": "0",
        "most": "3600000",
        "unit": "seconds",
    }


def test_negative_labour_brings_no_big_line_below_the_threshold() -> None:
    big, less = charging(1_000_000), replace(NOTHING, labour=-200 * HOUR)
    careful = replace(PRICES, threshold_minor=10_000)

    with pytest.raises(NumberOutOfBounds):
        given(*DIAGNOSED).when(decide, IssueEstimate((big, less)), careful)


@pytest.mark.parametrize(("last", "held"), [(TRILLION, True), (TRILLION + 1, False)])
def test_the_lines_of_a_job_add_up_to_what_a_job_can_cost(last: int, held: bool) -> None:
    """Of several estimates, of all visits, and of lines that were declined."""
    assert bounds.MOST_NET_MINOR == 10 * TRILLION
    earlier = [priced(number, TRILLION) for number in range(1, 10)]
    past = (*DIAGNOSED, EstimateIssued(1, "EUR", tuple(earlier)))
    dearest = replace(NOTHING, parts=(PartNeed("P", last // 1000, 1_000_000),))
    if last % 1000:
        dearest = replace(dearest, fees_minor=last % 1000)

    assert accepted(IssueEstimate((dearest,)), *past, facts=PRICES) is held


def test_two_estimates_that_no_number_can_hold_are_refused() -> None:
    dear = replace(NOTHING, parts=(PartNeed("P", 10**9, 10**9),) * 50)

    with pytest.raises(SumOutOfBounds) as refusal:
        given(*DIAGNOSED).when(decide, IssueEstimate((dear,) * 100), PRICES)

    assert refusal.value.facts == {
        "total_minor": str(5 * 10**18),
        "most_minor": str(10 * TRILLION),
        "currency": "EUR",
    }


def test_a_job_at_its_bound_is_invoiced_at_the_highest_tax() -> None:
    assert 2 * bounds.MOST_NET_MINOR < 2**53
    assert invoice(TaxRates(10**6, 10**6, 10**6), fees=bounds.MOST_NET_MINOR)


@pytest.mark.parametrize("fees", [-1, bounds.MOST_NET_MINOR + 1])
def test_what_was_stored_before_there_were_bounds_is_not_invoiced(fees: int) -> None:
    assert not invoice(TaxRates(10**6, 10**6, 10**6), fees=fees)


@pytest.mark.parametrize(("new", "held"), [(198, True), (199, False)])
def test_a_job_has_at_most_200_lines(new: int, held: bool) -> None:
    """Two there are already, and pricing them anew adds none."""
    again = (as_asked(BRAKES, 1), as_asked(WIPERS, 2))
    lines = IssueEstimate((*again, *(NOTHING for _ in range(new))))

    assert bounds.MOST_LINES == 200
    assert accepted(lines, *ESTIMATED, facts=PRICES) is held


@pytest.mark.parametrize(("lines", "held"), [(199, True), (200, False)])
def test_more_is_found_as_long_as_it_fits(lines: int, held: bool) -> None:
    others = tuple(replace(WIPERS, line=number) for number in range(3, lines + 1))

    assert accepted(MORE, *WORKING, EstimateIssued(2, "EUR", others)) is held


@pytest.mark.parametrize(("clocks", "held"), [(1999, True), (2000, False)])
def test_a_job_has_at_most_2000_clocks(clocks: int, held: bool) -> None:
    ran: list[JobEvent] = []
    for number in range(2, clocks + 1):
        ran += [LabourStarted(number, BERND, 0, NINE), LabourStopped(number, TEN)]

    assert bounds.MOST_CLOCKS == 2000
    assert accepted(StartLabour(BERND, 0, NOON), *WORKING, *ran, facts=CERTIFIED) is held


def test_what_does_not_fit_comes_back_at_another_check_in() -> None:
    assert [came_back(deferred(lines)) for lines in (49, 50, 51, 500)] == [49, 50, 50, 50]
    assert came_back(deferred(20, parts=50)) == 18
    assert came_back(deferred(20, fees=TRILLION)) == 10


@pytest.mark.parametrize(
    ("command", "held"),
    [
        (site.SetLabourRate(-1), False),
        (site.SetLabourRate(0), True),
        (site.SetLabourRate(10**10), True),
        (site.SetLabourRate(10**10 + 1), False),
        (site.SetTaxRates(TaxRates(-1, 0, 0)), False),
        (site.SetTaxRates(TaxRates(0, 0, 0)), True),
        (site.SetTaxRates(TaxRates(10**6, 10**6, 10**6)), True),
        (site.SetTaxRates(TaxRates(0, 10**6 + 1, 0)), False),
        (site.SetTaxRates(TaxRates(0, 0, 10**6 + 1)), False),
    ],
)
def test_a_site_has_prices_that_a_workshop_can_have(command: site.SiteCommand, held: bool) -> None:
    assert changed(command, site.Site("Berlin", "BER", "Europe/Berlin", "EUR")) is held


@pytest.mark.parametrize(("rate", "tax"), [(-1, site.UNTAXED), (0, TaxRates(10**6 + 1, 0, 0))])
def test_a_site_opens_with_prices_that_a_workshop_can_have(rate: int, tax: TaxRates) -> None:
    opened = site.OpenSite("Berlin", "BER", "Europe/Berlin", "EUR", rate, tax, (), ())

    with pytest.raises(NumberOutOfBounds):
        site.decide(opened, site.NoSite(), site.NewBays())


@pytest.mark.parametrize(("there", "held"), [(199, True), (200, False)])
def test_a_site_has_at_most_200_bays_in_its_life(there: int, held: bool) -> None:
    bays = tuple(Bay(BayId(str(number)), str(number), retired=True) for number in range(there))
    berlin = site.Site("Berlin", "BER", "Europe/Berlin", "EUR", bays=bays)

    assert changed(site.AddBay("New"), berlin) is held


def changed(command: site.SiteCommand, before: site.Site) -> bool:
    try:
        return bool(site.decide(command, before, site.NewBays((BayId("new"),))))
    except (NumberOutOfBounds, TooManyBays):
        return False


def priced(number: int, fees: int) -> EstimatedLine:
    return replace(WIPERS, line=number, labour_minor=0, fees_minor=fees)


def invoice(tax: TaxRates, *, fees: int) -> bool:
    """As if the estimate of the job had been that."""
    past = [
        replace(each, lines=(priced(1, fees), priced(2, 0)))
        if isinstance(each, EstimateIssued)
        else each
        for each in RELEASED
    ]
    return accepted(InvoiceJob(NOON), *past, facts=InvoiceFacts("BER-2026", 1, "EUR", tax))


def deferred(lines: int, *, parts: int = 0, fees: int = 0) -> CheckInFacts:
    return CheckInFacts(
        tuple(
            DeferredLine(EARLIER_JOB, number, "013", HOUR, (PADS,) * parts, fees, "")
            for number in range(1, lines + 1)
        )
    )


def came_back(facts: CheckInFacts) -> int:
    [event] = given(*PLANNED).when(decide, CheckInVehicle(km(1)), facts)
    assert isinstance(event, VehicleCheckedIn)
    return len(event.returned_lines)
