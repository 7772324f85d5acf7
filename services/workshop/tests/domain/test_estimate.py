from dataclasses import replace
from datetime import timedelta

import pytest

from kernel.money import Money
from services.workshop.tests.domain.stories import (
    BRAKES,
    BRAKES_NET,
    CHECKED_IN,
    DIAGNOSED,
    ESTIMATED,
    PRICES,
    READY,
    WIPERS,
    WIPERS_NET,
    WORKING,
    as_asked,
    given,
    job_after,
    said,
)
from workshop.domain.errors import (
    JobStateForbids,
    LineAlreadyDecided,
    LineNamedTwice,
    LineNotFound,
)
from workshop.domain.job.commands import IssueEstimate
from workshop.domain.job.decider import decide
from workshop.domain.job.estimate import labour_price, parts_price
from workshop.domain.job.events import (
    AdditionalWorkFound,
    EstimateIssued,
    JobEvent,
    LinesApproved,
    LinesDeclined,
)
from workshop.domain.job.values import JobState, LineState, PartNeed

BOTH = IssueEstimate((as_asked(BRAKES), as_asked(WIPERS)))


def test_an_estimate_prices_lines_with_the_rates_of_the_site() -> None:
    assert given(*DIAGNOSED).when(decide, BOTH, PRICES) == [
        EstimateIssued(1, "EUR", (BRAKES, WIPERS))
    ]


def test_an_estimate_waits_for_an_answer() -> None:
    job = job_after(*ESTIMATED)

    assert job.state is JobState.AWAITING_APPROVAL
    assert [line.state for line in job.lines] == [LineState.PROPOSED, LineState.PROPOSED]
    assert job.estimate == Money(BRAKES_NET + WIPERS_NET, "EUR")


def test_before_the_first_estimate_there_is_no_sum() -> None:
    assert job_after(*DIAGNOSED).estimate is None


def test_below_the_threshold_an_estimate_approves_itself_in_the_same_breath() -> None:
    prices = replace(PRICES, threshold_minor=BRAKES_NET + WIPERS_NET + 1)

    assert given(*DIAGNOSED).when(decide, BOTH, prices) == [
        EstimateIssued(1, "EUR", (BRAKES, WIPERS)),
        LinesApproved((1, 2), 1, automatic=True, limit_minor=BRAKES_NET + WIPERS_NET + 1),
    ]


def test_at_the_threshold_somebody_must_say_yes() -> None:
    prices = replace(PRICES, threshold_minor=BRAKES_NET + WIPERS_NET)

    assert given(*DIAGNOSED).when(decide, BOTH, prices) == [
        EstimateIssued(1, "EUR", (BRAKES, WIPERS))
    ]


def test_additional_work_does_not_slip_below_the_threshold_by_coming_later() -> None:
    prices = replace(PRICES, threshold_minor=BRAKES_NET + WIPERS_NET + 1)
    more = replace(WIPERS, line=3, code="034")

    events = given(*WORKING).when(decide, IssueEstimate((as_asked(more),)), prices)

    assert events == [EstimateIssued(2, "EUR", (more,))]


def test_a_new_version_prices_a_waiting_line_anew() -> None:
    cheaper = replace(BRAKES, labour=timedelta(hours=1), labour_minor=9_500)

    events = given(*ESTIMATED).when(decide, IssueEstimate((as_asked(cheaper, 1),)), PRICES)

    assert events == [EstimateIssued(2, "EUR", (cheaper,))]
    job = job_after(*ESTIMATED, *events)
    assert job.estimate_version == 2
    assert job.estimate == Money(9_500 + 8_900 + 500 + WIPERS_NET, "EUR")


def test_additional_work_is_priced_while_work_goes_on() -> None:
    found = AdditionalWorkFound(3, "013-001-020", said("Left caliper sticks"), "BRAKES")
    priced = replace(BRAKES, line=3, code="013-001-020", description=said("New caliper"))

    job = job_after(*WORKING, found, EstimateIssued(2, "EUR", (priced,)))

    assert job.state is JobState.IN_PROGRESS
    assert job.lines[2].priced


def test_a_declined_job_can_be_estimated_anew() -> None:
    declined = (*ESTIMATED, LinesDeclined((1, 2), 1))
    cheaper = replace(WIPERS, line=3)

    events = given(*declined).when(decide, IssueEstimate((as_asked(cheaper),)), PRICES)

    assert events == [EstimateIssued(2, "EUR", (cheaper,))]
    job = job_after(*declined, *events)
    assert job.state is JobState.AWAITING_APPROVAL
    assert job.estimate == Money(WIPERS_NET, "EUR")


def test_a_decided_line_is_not_priced_again() -> None:
    declined = (*ESTIMATED, LinesDeclined((1,), 1))

    with pytest.raises(LineAlreadyDecided) as refusal:
        given(*declined).when(decide, IssueEstimate((as_asked(BRAKES, 1),)), PRICES)

    assert refusal.value.facts == {"line": "1", "line_state": "DECLINED"}


def test_an_unknown_line_is_not_priced() -> None:
    with pytest.raises(LineNotFound) as refusal:
        given(*ESTIMATED).when(decide, IssueEstimate((as_asked(BRAKES, 9),)), PRICES)

    assert refusal.value.facts == {"line": "9"}


def test_a_line_is_priced_once_in_an_estimate() -> None:
    twice = IssueEstimate((as_asked(BRAKES, 1), as_asked(BRAKES, 1)))

    with pytest.raises(LineNamedTwice):
        given(*ESTIMATED).when(decide, twice, PRICES)


@pytest.mark.parametrize("story", [CHECKED_IN, READY])
def test_an_estimate_needs_a_diagnosis_and_no_answer_yet(story: tuple[JobEvent, ...]) -> None:
    with pytest.raises(JobStateForbids):
        given(*story).when(decide, BOTH, PRICES)


@pytest.mark.parametrize(
    ("labour", "rate_minor", "price_minor"),
    [
        (timedelta(minutes=90), 9_500, 14_250),
        (timedelta(seconds=18), 100, 1),
        (timedelta(seconds=17), 100, 0),
        (timedelta(0), 9_500, 0),
    ],
)
def test_labour_is_priced_by_the_second_and_rounded_half_up(
    labour: timedelta, rate_minor: int, price_minor: int
) -> None:
    assert labour_price(labour, rate_minor) == price_minor


def test_each_part_is_rounded_for_itself() -> None:
    half_a_cent = PartNeed("OIL", quantity_milli=500, unit_price_minor=1)

    assert parts_price((half_a_cent, half_a_cent)) == 2
