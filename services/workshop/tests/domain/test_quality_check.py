import pytest

from services.workshop.tests.domain.stories import (
    ANNA,
    BAY_1,
    COMPLETED,
    ELEVEN,
    FINISHED,
    IN_QUALITY_CHECK,
    INSPECTOR,
    NOON,
    given,
    job_after,
    said,
)
from workshop.domain.errors import (
    InspectorWorkedOnJob,
    JobStateForbids,
    LineNotDone,
    LineNotFound,
)
from workshop.domain.job.commands import FailQc, PassQc
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    AdditionalWorkFound,
    LineCompleted,
    LinesDeclined,
    QcFailed,
    QcPassed,
    WorkCompleted,
    WorkStarted,
)
from workshop.domain.job.values import JobState, LineState
from workshop.domain.values import TechnicianId

RATTLES = said("Pads rattle")
FAIL = FailQc((1,), RATTLES, INSPECTOR, None)
FAILED = QcFailed(INSPECTOR, (1,), RATTLES)


def test_another_person_passes_the_work() -> None:
    assert given(*IN_QUALITY_CHECK).when(decide, PassQc(INSPECTOR, None)) == [QcPassed(INSPECTOR)]
    job = job_after(*COMPLETED)
    assert (job.state, job.inspector) == (JobState.COMPLETED, INSPECTOR)


def test_another_technician_may_inspect() -> None:
    command = PassQc("cleo@berlin", TechnicianId("cleo"))

    assert given(*IN_QUALITY_CHECK).when(decide, command) == [QcPassed("cleo@berlin")]


@pytest.mark.parametrize("own", [PassQc("anna@berlin", ANNA), PassQc(ANNA, None)])
def test_nobody_passes_their_own_work(own: PassQc) -> None:
    with pytest.raises(InspectorWorkedOnJob):
        given(*IN_QUALITY_CHECK).when(decide, own)


def test_nobody_fails_their_own_work() -> None:
    with pytest.raises(InspectorWorkedOnJob):
        given(*IN_QUALITY_CHECK).when(decide, FailQc((1,), RATTLES, "anna@berlin", ANNA))


def test_work_that_is_not_completed_is_not_inspected() -> None:
    with pytest.raises(JobStateForbids):
        given(*FINISHED).when(decide, PassQc(INSPECTOR, None))


def test_an_inspector_sends_lines_back() -> None:
    assert given(*IN_QUALITY_CHECK).when(decide, FAIL) == [FAILED]


def test_work_that_was_sent_back_was_not_completed() -> None:
    job = job_after(*IN_QUALITY_CHECK, FAILED)

    assert (job.state, job.completed_at, job.rework_count) == (JobState.IN_PROGRESS, None, 1)
    assert [line.state for line in job.lines] == [LineState.REWORK, LineState.DONE]


def test_rework_is_completed_like_work() -> None:
    again = WorkStarted(ANNA, BAY_1, 2, ELEVEN, NOON)

    job = job_after(*IN_QUALITY_CHECK, FAILED, again, LineCompleted(1), WorkCompleted(NOON))

    assert (job.state, job.completions) == (JobState.QUALITY_CHECK, (NOON,))


def test_an_inspector_sends_back_lines_of_the_job() -> None:
    with pytest.raises(LineNotFound):
        given(*IN_QUALITY_CHECK).when(decide, FailQc((9,), RATTLES, INSPECTOR, None))


def test_a_line_that_was_not_done_is_not_sent_back() -> None:
    found = AdditionalWorkFound(3, "013-001-020", said("Left caliper sticks"), "")
    declined = (*FINISHED, found, LinesDeclined((3,), 1), WorkCompleted(ELEVEN))

    with pytest.raises(LineNotDone) as refusal:
        given(*declined).when(decide, FailQc((3,), RATTLES, INSPECTOR, None))

    assert refusal.value.facts == {"line": "3", "line_state": "DECLINED"}
