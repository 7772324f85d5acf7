from dataclasses import replace

import pytest

from services.workshop.tests.domain.stories import (
    APPROVED,
    BRAKES,
    BRAKES_NET,
    DIAGNOSED,
    ESTIMATED,
    MANAGER,
    WIPERS,
    WIPERS_NET,
    WORKING,
    given,
    job_after,
    said,
)
from workshop.domain.errors import (
    ApprovalLimitExceeded,
    EstimateOutdated,
    JobStateForbids,
    LineAlreadyDecided,
    LineNotFound,
    LineNotPriced,
)
from workshop.domain.job.commands import ApproveLines, DeclineLines, DeferLines
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    AdditionalWorkFound,
    EstimateIssued,
    LinesApproved,
    LinesDeclined,
    LinesDeferred,
)
from workshop.domain.job.facts import ApprovalFacts
from workshop.domain.job.values import JobState, LineState

ONE_APPROVED = LinesApproved((1,), 1, automatic=False, limit_minor=200_000)
TWO_APPROVED = LinesApproved((2,), 1, automatic=False, limit_minor=200_000)
FOUND = AdditionalWorkFound(3, "013-001-020", said("Left caliper sticks"), "BRAKES")


def test_a_manager_approves_lines_within_the_limit() -> None:
    assert given(*ESTIMATED).when(decide, ApproveLines(1, (1, 2)), MANAGER) == [
        LinesApproved((1, 2), 1, automatic=False, limit_minor=200_000)
    ]


def test_a_line_named_twice_is_approved_once() -> None:
    assert given(*ESTIMATED).when(decide, ApproveLines(1, (1, 1)), MANAGER) == [ONE_APPROVED]


def test_exactly_the_limit_may_be_approved() -> None:
    exact = ApprovalFacts(BRAKES_NET)

    assert given(*ESTIMATED).when(decide, ApproveLines(1, (1,)), exact) == [
        LinesApproved((1,), 1, automatic=False, limit_minor=BRAKES_NET)
    ]


def test_one_cent_beyond_the_limit_may_not() -> None:
    with pytest.raises(ApprovalLimitExceeded) as refusal:
        given(*ESTIMATED).when(decide, ApproveLines(1, (1,)), ApprovalFacts(BRAKES_NET - 1))

    assert refusal.value.facts == {
        "total_minor": str(BRAKES_NET),
        "limit_minor": str(BRAKES_NET - 1),
        "currency": "EUR",
    }


def test_a_big_yes_cannot_be_split_into_small_ones() -> None:
    limit = ApprovalFacts(BRAKES_NET + WIPERS_NET - 1)

    with pytest.raises(ApprovalLimitExceeded):
        given(*ESTIMATED, ONE_APPROVED).when(decide, ApproveLines(1, (2,)), limit)


def test_a_fleet_manager_has_no_limit() -> None:
    assert given(*ESTIMATED).when(decide, ApproveLines(1, (1, 2)), ApprovalFacts(-1)) == [
        LinesApproved((1, 2), 1, automatic=False, limit_minor=-1)
    ]


def test_a_role_without_a_limit_may_approve_nothing() -> None:
    with pytest.raises(ApprovalLimitExceeded, match="none of your roles may approve"):
        given(*ESTIMATED).when(decide, ApproveLines(1, (1,)), ApprovalFacts(None))


def test_lines_are_approved_on_the_estimate_that_counts() -> None:
    newer = EstimateIssued(2, "EUR", (replace(BRAKES, labour_minor=1),))

    with pytest.raises(EstimateOutdated) as refusal:
        given(*ESTIMATED, newer).when(decide, ApproveLines(1, (1,)), MANAGER)

    assert refusal.value.facts == {"estimate_version": "2"}


def test_a_line_without_a_price_is_not_approved() -> None:
    with pytest.raises(LineNotPriced) as refusal:
        given(*WORKING, FOUND).when(decide, ApproveLines(1, (3,)), MANAGER)

    assert refusal.value.facts == {"line": "3"}


def test_a_line_is_decided_once() -> None:
    with pytest.raises(LineAlreadyDecided):
        given(*ESTIMATED, ONE_APPROVED).when(decide, ApproveLines(1, (1,)), MANAGER)


def test_an_unknown_line_is_not_decided() -> None:
    with pytest.raises(LineNotFound):
        given(*ESTIMATED).when(decide, DeclineLines(1, (7,)))


def test_nothing_is_approved_before_an_estimate() -> None:
    with pytest.raises(JobStateForbids):
        given(*DIAGNOSED).when(decide, ApproveLines(0, (1,)), MANAGER)


def test_lines_are_declined() -> None:
    assert given(*ESTIMATED).when(decide, DeclineLines(1, (1,))) == [LinesDeclined((1,), 1)]


def test_lines_are_deferred_until_the_next_check_in() -> None:
    assert given(*ESTIMATED).when(decide, DeferLines(1, (2,))) == [LinesDeferred((2,), 1)]


def test_a_partly_decided_job_waits_for_the_rest() -> None:
    assert job_after(*ESTIMATED, ONE_APPROVED).state is JobState.AWAITING_APPROVAL


def test_lines_without_parts_are_ready_at_once() -> None:
    declined = LinesDeclined((1,), 1)

    assert job_after(*ESTIMATED, declined, TWO_APPROVED).state is JobState.READY
    assert job_after(*ESTIMATED, TWO_APPROVED, declined).state is JobState.READY


def test_lines_with_parts_are_approved_and_wait_for_the_clerk() -> None:
    assert job_after(*APPROVED).state is JobState.APPROVED


def test_when_every_line_is_refused_the_job_is_declined() -> None:
    refused = (LinesDeclined((1,), 1), LinesDeferred((2,), 1))

    assert job_after(*ESTIMATED, *refused).state is JobState.DECLINED


def test_a_line_without_a_price_keeps_a_refused_estimate_open() -> None:
    estimated = (*DIAGNOSED, FOUND, EstimateIssued(1, "EUR", (replace(WIPERS, line=4),)))

    job = job_after(*estimated, LinesDeclined((4,), 1))

    assert job.state is JobState.AWAITING_APPROVAL
    assert given(*estimated).when(decide, DeferLines(1, (3,))) == [LinesDeferred((3,), 1)]


def test_a_yes_to_additional_work_does_not_stop_the_work() -> None:
    priced = EstimateIssued(2, "EUR", (replace(BRAKES, line=3),))
    approved = LinesApproved((3,), 2, automatic=False, limit_minor=-1)

    job = job_after(*WORKING, FOUND, priced, approved)

    assert job.state is JobState.IN_PROGRESS
    assert job.lines[2].state is LineState.APPROVED
