from dataclasses import replace

import pytest

from services.workshop.tests.domain.stories import (
    ANNA,
    BAY_1,
    BERND,
    BRAKES,
    ELEVEN,
    FINISHED,
    IN_QUALITY_CHECK,
    INSPECTOR,
    NINE,
    READY,
    TEN,
    WORKING,
    given,
    job_after,
    said,
)
from workshop.domain.errors import (
    ClockStillRunning,
    DiagnosisIncomplete,
    JobStateForbids,
    LineNotApproved,
    LineNotFound,
    LinesOpen,
    LinesUndecided,
    NoteMissing,
)
from workshop.domain.job.commands import (
    CompleteLine,
    CompleteWork,
    HoldJob,
    ReportAdditionalWork,
    ResumeJob,
)
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    AdditionalWorkFound,
    EstimateIssued,
    JobHeld,
    JobResumed,
    LabourStarted,
    LabourStopped,
    LineCompleted,
    LinesDeclined,
    LinesDeferred,
    QcFailed,
    WorkCompleted,
)
from workshop.domain.job.values import HoldReason, JobState, LineState

HELD = (*WORKING, LabourStopped(1, TEN), JobHeld(HoldReason.PARTS, None))
FOUND = AdditionalWorkFound(3, "013-001-020", said("Left caliper sticks"), "BRAKES")


def test_a_hold_stops_every_clock() -> None:
    two_at_work = (*WORKING, LabourStarted(2, BERND, 0, NINE))

    assert given(*two_at_work).when(decide, HoldJob(HoldReason.PARTS, None, TEN)) == [
        LabourStopped(1, TEN),
        LabourStopped(2, TEN),
        JobHeld(HoldReason.PARTS, None),
    ]


def test_a_held_job_keeps_its_bay() -> None:
    job = job_after(*HELD)

    assert (job.state, job.hold_reason, job.bay) == (JobState.ON_HOLD, HoldReason.PARTS, BAY_1)


def test_a_hold_for_another_reason_says_which() -> None:
    note = said("Power is out")

    with pytest.raises(NoteMissing):
        given(*FINISHED).when(decide, HoldJob(HoldReason.OTHER, None, TEN))

    assert given(*FINISHED).when(decide, HoldJob(HoldReason.OTHER, note, TEN)) == [
        JobHeld(HoldReason.OTHER, note)
    ]


def test_a_job_is_held_while_it_is_in_progress() -> None:
    with pytest.raises(JobStateForbids):
        given(*READY).when(decide, HoldJob(HoldReason.PARTS, None, TEN))


def test_a_job_is_resumed_and_its_clocks_are_started_one_by_one() -> None:
    assert given(*HELD).when(decide, ResumeJob()) == [JobResumed()]
    job = job_after(*HELD, JobResumed())
    assert (job.state, job.hold_reason, job.running) == (JobState.IN_PROGRESS, None, ())


def test_additional_work_is_proposed_while_the_rest_goes_on() -> None:
    command = ReportAdditionalWork("013-001-020", said("Left caliper sticks"), "BRAKES")

    assert given(*WORKING).when(decide, command) == [FOUND]
    assert given(*HELD).when(decide, command) == [FOUND]
    job = job_after(*WORKING, FOUND)
    assert job.state is JobState.IN_PROGRESS
    assert (job.lines[2].state, job.lines[2].priced) == (LineState.PROPOSED, False)


def test_additional_work_is_found_by_working() -> None:
    with pytest.raises(JobStateForbids):
        given(*READY).when(decide, ReportAdditionalWork("013", said("More"), ""))


def test_a_line_is_done() -> None:
    assert given(*WORKING).when(decide, CompleteLine(1)) == [LineCompleted(1)]
    assert job_after(*WORKING, LineCompleted(1)).lines[0].state is LineState.DONE


def test_a_line_that_nobody_approved_is_not_done() -> None:
    with pytest.raises(LineNotApproved):
        given(*WORKING, FOUND).when(decide, CompleteLine(3))


def test_an_unknown_line_is_not_done() -> None:
    with pytest.raises(LineNotFound):
        given(*WORKING).when(decide, CompleteLine(4))


def test_no_line_is_done_before_rework_starts() -> None:
    failed = (*IN_QUALITY_CHECK, QcFailed(INSPECTOR, (1,), said("Pads rattle")))

    with pytest.raises(JobStateForbids):
        given(*failed).when(decide, CompleteLine(1))


def test_finished_work_goes_to_the_quality_check_and_gives_the_bay_free() -> None:
    assert given(*FINISHED).when(decide, CompleteWork(ELEVEN)) == [WorkCompleted(ELEVEN)]
    job = job_after(*IN_QUALITY_CHECK)
    assert (job.state, job.completed_at) == (JobState.QUALITY_CHECK, ELEVEN)
    assert (job.bay, job.booking) == (None, None)


def test_work_is_not_completed_while_a_clock_runs() -> None:
    with pytest.raises(ClockStillRunning):
        given(*FINISHED, LabourStarted(2, ANNA, 0, ELEVEN)).when(decide, CompleteWork(ELEVEN))


def test_work_is_not_completed_while_a_line_is_open() -> None:
    stopped = (*WORKING, LabourStopped(1, TEN))

    with pytest.raises(LinesOpen, match="lines 1,2 are not done") as refusal:
        given(*stopped).when(decide, CompleteWork(ELEVEN))

    assert refusal.value.facts == {"lines": "1,2"}


def test_work_is_not_completed_while_a_line_is_undecided() -> None:
    with pytest.raises(LinesUndecided, match="line 3 is undecided") as refusal:
        given(*FINISHED, FOUND).when(decide, CompleteWork(ELEVEN))

    assert refusal.value.facts == {"lines": "3"}


def test_lines_that_were_declined_or_deferred_do_not_stand_in_the_way() -> None:
    for decision in (LinesDeclined((3,), 2), LinesDeferred((3,), 2)):
        refused = (EstimateIssued(2, "EUR", (replace(BRAKES, line=3),)), decision)

        assert given(*FINISHED, FOUND, *refused).when(decide, CompleteWork(ELEVEN)) == [
            WorkCompleted(ELEVEN)
        ]


def test_work_is_not_completed_without_cause_and_correction() -> None:
    unexplained = FINISHED[:-1]

    with pytest.raises(DiagnosisIncomplete):
        given(*unexplained).when(decide, CompleteWork(ELEVEN))
