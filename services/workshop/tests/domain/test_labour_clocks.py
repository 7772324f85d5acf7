import pytest

from services.workshop.tests.domain.stories import (
    ANNA,
    BERND,
    CERTIFIED,
    ELEVEN,
    FINISHED,
    HOUR,
    IN_QUALITY_CHECK,
    INSPECTOR,
    NINE,
    READY,
    TEN,
    UNCERTIFIED,
    WORKING,
    given,
    job_after,
    said,
)
from workshop.domain.errors import (
    ClockAlreadyRunning,
    ClockNotRunning,
    JobStateForbids,
    LineNotApproved,
    LineNotFound,
    TechnicianNotCertified,
)
from workshop.domain.job.commands import StartLabour, StopLabour
from workshop.domain.job.decider import decide
from workshop.domain.job.events import LabourStarted, LabourStopped, LineCompleted, QcFailed
from workshop.domain.job.state import Labour


def test_a_second_technician_joins() -> None:
    assert given(*WORKING).when(decide, StartLabour(BERND, 0, TEN), CERTIFIED) == [
        LabourStarted(2, BERND, 0, TEN)
    ]
    assert job_after(*WORKING, LabourStarted(2, BERND, 0, TEN)).labour == (
        Labour(1, ANNA, 0, NINE),
        Labour(2, BERND, 0, TEN),
    )


def test_a_clock_for_one_line_needs_what_that_line_needs() -> None:
    assert given(*WORKING).when(decide, StartLabour(BERND, 2, TEN), UNCERTIFIED) == [
        LabourStarted(2, BERND, 2, TEN)
    ]
    with pytest.raises(TechnicianNotCertified):
        given(*WORKING).when(decide, StartLabour(BERND, 1, TEN), UNCERTIFIED)


def test_a_clock_for_the_whole_job_needs_what_its_open_lines_need() -> None:
    with pytest.raises(TechnicianNotCertified):
        given(*WORKING).when(decide, StartLabour(BERND, 0, TEN), UNCERTIFIED)

    assert given(*WORKING, LineCompleted(1)).when(
        decide, StartLabour(BERND, 0, TEN), UNCERTIFIED
    ) == [LabourStarted(2, BERND, 0, TEN)]


def test_a_technician_has_one_clock_on_a_job() -> None:
    with pytest.raises(ClockAlreadyRunning):
        given(*WORKING).when(decide, StartLabour(ANNA, 0, TEN), CERTIFIED)


def test_no_clock_runs_for_an_unknown_line() -> None:
    with pytest.raises(LineNotFound):
        given(*WORKING).when(decide, StartLabour(BERND, 5, TEN), CERTIFIED)


def test_no_clock_runs_for_a_line_that_is_not_to_be_done() -> None:
    with pytest.raises(LineNotApproved):
        given(*WORKING, LineCompleted(1)).when(decide, StartLabour(BERND, 1, TEN), CERTIFIED)


def test_no_clock_runs_before_work_starts() -> None:
    with pytest.raises(JobStateForbids):
        given(*READY).when(decide, StartLabour(ANNA, 0, TEN), CERTIFIED)


def test_no_clock_runs_before_rework_starts() -> None:
    failed = (*IN_QUALITY_CHECK, QcFailed(INSPECTOR, (1,), said("Pads rattle")))

    with pytest.raises(JobStateForbids):
        given(*failed).when(decide, StartLabour(ANNA, 0, ELEVEN), CERTIFIED)


def test_a_clock_is_stopped() -> None:
    assert given(*WORKING).when(decide, StopLabour(ANNA, TEN)) == [LabourStopped(1, TEN)]
    assert job_after(*WORKING, LabourStopped(1, TEN)).labour == (Labour(1, ANNA, 0, NINE, TEN),)


def test_a_clock_never_stops_before_it_starts() -> None:
    assert given(*WORKING).when(decide, StopLabour(ANNA, NINE - HOUR)) == [LabourStopped(1, NINE)]


def test_the_clock_of_another_is_not_stopped() -> None:
    with pytest.raises(ClockNotRunning) as refusal:
        given(*WORKING).when(decide, StopLabour(BERND, TEN))

    assert refusal.value.facts == {"technician": "technicians/bernd"}


def test_a_stopped_clock_is_not_stopped_again() -> None:
    with pytest.raises(ClockNotRunning):
        given(*FINISHED).when(decide, StopLabour(ANNA, ELEVEN))
