"""What a job means to those who work on it."""

from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given as over
from hypothesis import strategies

from technician.application.work import (
    Clock,
    EndEvent,
    JobCancelled,
    JobEvent,
    JobRejected,
    JobReopened,
    JobWork,
    LabourCorrected,
    LabourStarted,
    LabourStopped,
    QcFailed,
    TechnicianAssigned,
    VehicleReleased,
    WorkCompleted,
    WorkStarted,
    evolve,
)
from technician.domain.values import TechnicianId

ADA, BO = TechnicianId("ada"), TechnicianId("bo")
EIGHT, NINE, TEN, ELEVEN = (datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in (8, 9, 10, 11))
STARTED = WorkStarted(ADA, 1, EIGHT)


def after(*events: JobEvent) -> JobWork:
    return reduce(evolve, events, JobWork())


def test_a_job_is_open_from_the_request_on_and_nobodys() -> None:
    assert after() == JobWork(technician=None, is_open=True, completions=0, clocks=())


def test_a_job_belongs_to_whom_it_was_assigned_to_last() -> None:
    assert after(TechnicianAssigned(ADA), TechnicianAssigned(BO)).technician == BO
    assert after(TechnicianAssigned(ADA), TechnicianAssigned(None)).technician is None


def test_a_job_that_was_nobodys_is_of_the_one_who_starts_it() -> None:
    assert after(STARTED) == JobWork(technician=ADA, clocks=(Clock(1, ADA, EIGHT),))


def test_a_job_stays_with_the_one_it_was_assigned_to_when_another_starts_it() -> None:
    assert after(TechnicianAssigned(BO), STARTED).technician == BO


def test_a_colleague_clocks_on_to_the_same_job() -> None:
    work = after(STARTED, LabourStarted(BO, 2, NINE))

    assert work.clocks == (Clock(1, ADA, EIGHT), Clock(2, BO, NINE))
    assert work.technician == ADA


def test_a_clock_that_is_stopped_leaves_the_others_running() -> None:
    work = after(STARTED, LabourStarted(BO, 2, NINE), LabourStopped(1, TEN))

    assert work.clocks == (Clock(1, ADA, EIGHT, TEN), Clock(2, BO, NINE))


def test_a_correction_counts_instead_of_what_the_clock_said() -> None:
    stopped = (STARTED, LabourStopped(1, ELEVEN))

    work = after(*stopped, LabourCorrected(1, EIGHT, TEN), LabourCorrected(1, NINE, TEN))

    assert work.clocks == (Clock(1, ADA, NINE, TEN),)


def test_completed_work_is_off_the_list_and_counted() -> None:
    work = after(STARTED, LabourStopped(1, NINE), WorkCompleted())

    assert (work.is_open, work.completions) == (False, 1)


def test_work_that_fails_the_quality_check_is_open_again_and_not_counted() -> None:
    work = after(STARTED, WorkCompleted(), QcFailed())

    assert (work.is_open, work.completions) == (True, 0)
    assert after(STARTED, WorkCompleted(), QcFailed(), WorkCompleted()).completions == 1


@pytest.mark.parametrize("end", [VehicleReleased(), JobRejected(), JobCancelled()])
def test_a_job_that_ends_without_the_work_is_off_the_list_and_not_counted(end: EndEvent) -> None:
    work = after(TechnicianAssigned(ADA), end)

    assert (work.is_open, work.completions) == (False, 0)


def test_a_job_that_comes_back_is_open_and_what_was_done_stays_done() -> None:
    work = after(STARTED, WorkCompleted(), VehicleReleased(), JobReopened())

    assert (work.is_open, work.completions) == (True, 1)


TIMES = strategies.integers(0, 600).map(lambda minutes: EIGHT + timedelta(minutes=minutes))
LABOUR = strategies.integers(1, 3)
PEOPLE = strategies.sampled_from([ADA, BO])
EVENTS: strategies.SearchStrategy[JobEvent] = strategies.one_of(
    strategies.builds(TechnicianAssigned, strategies.none() | PEOPLE),
    strategies.builds(WorkStarted, PEOPLE, LABOUR, TIMES),
    strategies.builds(LabourStarted, PEOPLE, LABOUR, TIMES),
    strategies.builds(LabourStopped, LABOUR, TIMES),
    strategies.builds(LabourCorrected, LABOUR, TIMES, TIMES),
    strategies.sampled_from(
        [
            WorkCompleted(),
            QcFailed(),
            VehicleReleased(),
            JobRejected(),
            JobCancelled(),
            JobReopened(),
        ]
    ),
)


@over(strategies.lists(EVENTS))
def test_any_history_of_a_job_can_be_told(events: list[JobEvent]) -> None:
    work = after(*events)

    begun = sum(isinstance(event, WorkStarted | LabourStarted) for event in events)
    assert len(work.clocks) == begun
