from dataclasses import replace
from datetime import timedelta

import pytest

from services.workshop.tests.domain.stories import (
    BRAKES,
    CHECKED_IN,
    DIAGNOSED,
    EARLIER_JOB,
    ESTIMATED,
    IN_QUALITY_CHECK,
    PADS,
    PLANNED,
    REQUESTED,
    given,
    job_after,
    km,
    said,
)
from workshop.domain.errors import ComplaintMissing, JobStateForbids
from workshop.domain.job.commands import CheckInVehicle, RecordDiagnosis
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    DiagnosisRecorded,
    EstimateIssued,
    JobRequested,
    ReturnedLine,
    VehicleCheckedIn,
)
from workshop.domain.job.facts import CheckInFacts, DeferredLine
from workshop.domain.job.values import JobState, LineState

DEFERRED = DeferredLine(
    job=EARLIER_JOB,
    line=3,
    code="013-001-015",
    labour=timedelta(minutes=90),
    parts=(PADS,),
    fees_minor=500,
    certification="BRAKES",
)
RETURNED = ReturnedLine(
    line=1,
    from_job=EARLIER_JOB,
    from_line=3,
    code="013-001-015",
    labour=timedelta(minutes=90),
    parts=(PADS,),
    fees_minor=500,
    certification="BRAKES",
)


def test_a_vehicle_checks_in_with_its_meter() -> None:
    command = CheckInVehicle(km(120_000))

    assert given(*PLANNED).when(decide, command, CheckInFacts()) == [
        VehicleCheckedIn(km(120_000), ())
    ]
    assert job_after(*CHECKED_IN).meter_in == km(120_000)


def test_deferred_lines_of_earlier_jobs_come_back_at_check_in() -> None:
    command = CheckInVehicle(km(120_000))

    assert given(*PLANNED).when(decide, command, CheckInFacts((DEFERRED,))) == [
        VehicleCheckedIn(km(120_000), (RETURNED,))
    ]


def test_a_line_that_came_back_is_proposed_and_has_no_price_yet() -> None:
    (line,) = job_after(*PLANNED, VehicleCheckedIn(km(120_000), (RETURNED,))).lines

    assert (line.state, line.priced, line.description) == (LineState.PROPOSED, False, None)
    assert (line.from_job, line.from_line) == (EARLIER_JOB, 3)


def test_a_line_that_came_back_keeps_its_origin_when_it_is_priced() -> None:
    checked_in = VehicleCheckedIn(km(120_000), (RETURNED,))
    wordless = replace(BRAKES, description=None)

    (line,) = job_after(*PLANNED, checked_in, EstimateIssued(1, "EUR", (wordless,))).lines

    assert line.priced
    assert (line.from_job, line.from_line, line.description) == (EARLIER_JOB, 3, None)


def test_a_vehicle_cannot_check_in_before_the_job_is_planned() -> None:
    with pytest.raises(JobStateForbids):
        given(*REQUESTED).when(decide, CheckInVehicle(km(120_000)), CheckInFacts())


def test_a_diagnosis_may_know_the_cause_and_not_yet_the_correction() -> None:
    command = RecordDiagnosis(complaint=None, cause=said("Pads worn"), correction=None)

    assert given(*CHECKED_IN).when(decide, command) == [
        DiagnosisRecorded(None, said("Pads worn"), None)
    ]
    job = job_after(*DIAGNOSED)
    assert job.state is JobState.DIAGNOSED
    assert (job.complaint, job.cause) == (said("Brakes grind when cold"), said("Pads worn"))


def test_a_diagnosis_is_completed_later_without_going_back() -> None:
    job = job_after(*ESTIMATED, DiagnosisRecorded(said("Grinds always"), None, said("New pads")))

    assert job.state is JobState.AWAITING_APPROVAL
    assert job.complaint == said("Grinds always")
    assert (job.cause, job.correction) == (said("Pads worn"), said("New pads"))


def test_a_diagnosis_needs_a_complaint() -> None:
    requested = REQUESTED[0]
    assert isinstance(requested, JobRequested)
    wordless = (replace(requested, complaint=None), *CHECKED_IN[1:])

    with pytest.raises(ComplaintMissing):
        given(*wordless).when(decide, RecordDiagnosis(None, said("Pads worn"), None))


def test_after_completion_nothing_is_diagnosed() -> None:
    with pytest.raises(JobStateForbids):
        given(*IN_QUALITY_CHECK).when(decide, RecordDiagnosis(None, said("Other"), None))
