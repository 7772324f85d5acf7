from dataclasses import replace
from datetime import timedelta

import pytest

from services.workshop.tests.domain.stories import (
    BRAKES,
    BRAKES_NET,
    CLOSED,
    COMPLETED,
    ELEVEN,
    ESTIMATED,
    FINISHED,
    INSPECTOR,
    INVOICED,
    MANAGER,
    NEXT_INVOICE,
    NOON,
    PRICES,
    RELEASED,
    TEN,
    WORKING,
    Story,
    as_asked,
    given,
    job_after,
    km,
    said,
)
from workshop.domain.errors import JobStateForbids, LineNotFound, MeterWentBackwards
from workshop.domain.job.commands import (
    ApproveLines,
    CancelJob,
    FailQc,
    InvoiceJob,
    IssueEstimate,
    ReopenJob,
)
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    DiagnosisRecorded,
    EstimateIssued,
    JobCancelled,
    JobHeld,
    JobInvoiced,
    JobReopened,
    LabourStopped,
    LineCompleted,
    LinesApproved,
    LinesDeclined,
    PartsConfirmed,
    QcPassed,
    VehicleReleased,
    WorkCompleted,
)
from workshop.domain.job.facts import ApprovalFacts, ReopenFacts
from workshop.domain.job.values import HoldReason, JobState

SOLD = said("Vehicle was sold")
AGAIN = said("Brakes grind again")
WINDOW = timedelta(days=30)
FACTS = ReopenFacts(WINDOW)
REOPEN = ReopenJob(AGAIN, km(121_000), "013-001-015", at=ELEVEN + WINDOW)
REOPENED = JobReopened(AGAIN, km(121_000), comeback=True, code="013-001-015")
SECOND_BRAKES = replace(BRAKES, line=3)
SECOND_VISIT: Story = (
    *INVOICED,
    REOPENED,
    DiagnosisRecorded(None, said("Pads loose"), None),
    EstimateIssued(2, "EUR", (SECOND_BRAKES,)),
)
SECOND_RELEASE: Story = (
    *SECOND_VISIT,
    LinesApproved((3,), 2, automatic=False, limit_minor=-1),
    PartsConfirmed((3,)),
    LineCompleted(3),
    WorkCompleted(NOON),
    QcPassed(INSPECTOR),
    VehicleReleased(km(121_001)),
)


def test_a_cancelled_job_stops_its_clocks_and_gives_bay_and_booking_free() -> None:
    assert given(*WORKING).when(decide, CancelJob(SOLD, TEN)) == [
        LabourStopped(1, TEN),
        JobCancelled(SOLD),
    ]
    job = job_after(*WORKING, LabourStopped(1, TEN), JobCancelled(SOLD))
    assert (job.state, job.bay, job.booking, job.note) == (JobState.CANCELLED, None, None, SOLD)


def test_a_held_job_that_is_cancelled_is_on_hold_no_longer() -> None:
    held = (*FINISHED, JobHeld(HoldReason.PARTS, None))

    assert given(*held).when(decide, CancelJob(SOLD, TEN)) == [JobCancelled(SOLD)]
    assert job_after(*held, JobCancelled(SOLD)).hold_reason is None


def test_once_the_vehicle_is_released_a_job_is_not_cancelled() -> None:
    with pytest.raises(JobStateForbids):
        given(*RELEASED).when(decide, CancelJob(SOLD, TEN))


@pytest.mark.parametrize("story", [COMPLETED, RELEASED, INVOICED, CLOSED])
def test_a_vehicle_comes_back_for_the_same_job(story: Story) -> None:
    assert given(*story).when(decide, REOPEN, FACTS) == [REOPENED]


def test_a_new_visit_begins_at_check_in_and_keeps_the_first_completion() -> None:
    job = job_after(*CLOSED, REOPENED)

    assert (job.state, job.visit, job.comeback) == (JobState.CHECKED_IN, 2, True)
    assert (job.meter_in, job.meter_out) == (km(121_000), None)
    assert (job.cause, job.correction, job.inspector, job.note) == (None, None, "", AGAIN)
    assert job.completions == (ELEVEN,)
    assert job.invoice is not None


def test_a_second_completion_stands_beside_the_first() -> None:
    job = job_after(*SECOND_RELEASE)

    assert job.completions == (ELEVEN, NOON)
    assert job.completed_at == NOON


@pytest.mark.parametrize(
    "otherwise",
    [
        replace(REOPEN, at=ELEVEN + WINDOW + timedelta(microseconds=1)),
        replace(REOPEN, code="034"),
        replace(REOPEN, code=""),
    ],
)
def test_later_or_for_another_task_it_is_no_comeback(otherwise: ReopenJob) -> None:
    (event,) = given(*CLOSED).when(decide, otherwise, FACTS)

    assert event == replace(REOPENED, comeback=False, code=otherwise.code)


def test_a_vehicle_that_left_without_work_does_not_come_back_for_it() -> None:
    declined = (*ESTIMATED, LinesDeclined((1, 2), 1), VehicleReleased(km(120_000)))

    assert given(*declined).when(decide, REOPEN, FACTS) == [replace(REOPENED, comeback=False)]


def test_a_meter_does_not_go_backwards_between_visits() -> None:
    with pytest.raises(MeterWentBackwards):
        given(*CLOSED).when(decide, replace(REOPEN, odometer=km(120_000)), FACTS)
    with pytest.raises(MeterWentBackwards):
        given(*COMPLETED).when(decide, replace(REOPEN, odometer=km(119_999)), FACTS)


def test_a_job_that_is_under_way_is_not_reopened() -> None:
    with pytest.raises(JobStateForbids):
        given(*WORKING).when(decide, REOPEN, FACTS)


def test_lines_of_a_new_visit_are_numbered_on() -> None:
    diagnosed = SECOND_VISIT[:-1]

    assert given(*diagnosed).when(decide, IssueEstimate((as_asked(BRAKES),)), PRICES) == [
        EstimateIssued(2, "EUR", (SECOND_BRAKES,))
    ]


def test_each_visit_is_approved_for_itself() -> None:
    assert given(*SECOND_VISIT).when(decide, ApproveLines(2, (3,)), ApprovalFacts(BRAKES_NET)) == [
        LinesApproved((3,), 2, automatic=False, limit_minor=BRAKES_NET)
    ]
    assert job_after(*SECOND_VISIT, LinesDeclined((3,), 2)).state is JobState.DECLINED


def test_lines_of_an_earlier_visit_are_history() -> None:
    with pytest.raises(LineNotFound):
        given(*SECOND_VISIT).when(decide, ApproveLines(2, (1,)), MANAGER)
    in_quality_check = SECOND_RELEASE[:-2]
    with pytest.raises(LineNotFound):
        given(*in_quality_check).when(decide, FailQc((1,), AGAIN, INSPECTOR, None))


def test_a_second_invoice_charges_what_the_first_did_not() -> None:
    facts = replace(NEXT_INVOICE, sequence=43)

    (event,) = given(*SECOND_RELEASE).when(decide, InvoiceJob(NOON), facts)

    assert isinstance(event, JobInvoiced)
    assert [line.line for line in event.lines] == [3]
    job = job_after(*SECOND_RELEASE, event)
    assert [invoice.number for invoice in job.invoices] == ["BER-2026-000042", "BER-2026-000043"]


def test_what_was_released_and_reopened_without_an_invoice_is_charged_later() -> None:
    uninvoiced = (*RELEASED, *SECOND_RELEASE[len(INVOICED) :])

    (event,) = given(*uninvoiced).when(decide, InvoiceJob(NOON), NEXT_INVOICE)

    assert isinstance(event, JobInvoiced)
    assert [line.line for line in event.lines] == [1, 2, 3]
