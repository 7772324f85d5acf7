from dataclasses import replace

import pytest

from services.workshop.tests.domain.stories import (
    APPROVED,
    BRAKES,
    ESTIMATED,
    NOON,
    READY,
    WORKING,
    given,
    job_after,
    said,
)
from workshop.domain.errors import (
    JobStateForbids,
    LineNeedsNoParts,
    LineNotApproved,
    LineNotFound,
)
from workshop.domain.job.commands import ConfirmParts, ReportPartsShort
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    AdditionalWorkFound,
    EstimateIssued,
    LinesApproved,
    LinesDeclined,
    PartsConfirmed,
    PartsShort,
)
from workshop.domain.job.values import JobState

TWO_BRAKES = (
    *ESTIMATED,
    EstimateIssued(2, "EUR", (replace(BRAKES, line=3),)),
    LinesDeclined((2,), 2),
    LinesApproved((1, 3), 2, automatic=False, limit_minor=-1),
)


def test_the_clerk_confirms_all_parts_that_are_waited_for() -> None:
    assert given(*TWO_BRAKES).when(decide, ConfirmParts(())) == [PartsConfirmed((1, 3))]
    assert job_after(*TWO_BRAKES, PartsConfirmed((1, 3))).state is JobState.READY


def test_some_parts_confirmed_are_not_all() -> None:
    assert given(*TWO_BRAKES).when(decide, ConfirmParts((3,))) == [PartsConfirmed((3,))]
    assert job_after(*TWO_BRAKES, PartsConfirmed((3,))).state is JobState.APPROVED


def test_parts_are_not_confirmed_twice() -> None:
    assert given(*TWO_BRAKES, PartsConfirmed((3,))).when(decide, ConfirmParts((3,))) == []


def test_missing_parts_make_the_job_wait() -> None:
    assert given(*APPROVED).when(decide, ReportPartsShort((1,), NOON)) == [PartsShort((1,), NOON)]
    assert job_after(*APPROVED, PartsShort((1,), NOON)).state is JobState.WAITING_PARTS


def test_parts_that_arrive_make_the_job_ready() -> None:
    short = PartsShort((1,), None)

    assert job_after(*APPROVED, short, PartsConfirmed((1,))).state is JobState.READY


def test_other_parts_that_arrive_do_not() -> None:
    short = (PartsShort((1,), None), PartsConfirmed((3,)))

    assert job_after(*TWO_BRAKES, *short).state is JobState.WAITING_PARTS


def test_a_line_that_needs_no_parts_cannot_miss_any() -> None:
    with pytest.raises(LineNeedsNoParts) as refusal:
        given(*APPROVED).when(decide, ReportPartsShort((2,), None))

    assert refusal.value.facts == {"line": "2"}


def test_parts_are_for_approved_lines() -> None:
    with pytest.raises(LineNotApproved) as refusal:
        given(*TWO_BRAKES).when(decide, ConfirmParts((2,)))

    assert refusal.value.facts == {"line": "2", "line_state": "DECLINED"}


def test_parts_are_for_lines_of_the_job() -> None:
    with pytest.raises(LineNotFound):
        given(*APPROVED).when(decide, ConfirmParts((8,)))


def test_where_no_line_waits_nothing_is_confirmed() -> None:
    with pytest.raises(JobStateForbids):
        given(*READY).when(decide, ConfirmParts(()))


def test_parts_of_additional_work_are_confirmed_while_work_goes_on() -> None:
    more = (
        *WORKING,
        AdditionalWorkFound(3, "013-001-020", said("Left caliper sticks"), "BRAKES"),
        EstimateIssued(2, "EUR", (replace(BRAKES, line=3),)),
        LinesApproved((3,), 2, automatic=False, limit_minor=-1),
    )

    assert given(*more).when(decide, ConfirmParts(())) == [PartsConfirmed((3,))]
    assert job_after(*more, PartsConfirmed((3,))).state is JobState.IN_PROGRESS
    assert job_after(*more, PartsShort((3,), None)).state is JobState.IN_PROGRESS
