from dataclasses import replace
from datetime import timedelta

import pytest

from services.workshop.tests.domain.stories import (
    ANNA,
    APPROVED,
    BAY_1,
    BAY_2,
    BERND,
    BOOKED,
    FINISHED,
    GONE,
    HOUR,
    IN_QUALITY_CHECK,
    INSPECTOR,
    MONDAY,
    MORNING,
    NINE,
    NOBODY,
    NOON,
    OLD_BAY,
    READY,
    SITE,
    START,
    TEN,
    UNCERTIFIED,
    WORKING,
    given,
    job_after,
    said,
)
from workshop.domain.errors import (
    BayNotFound,
    BayRetired,
    ClockAlreadyRunning,
    JobStateForbids,
    SlotInvalid,
    TechnicianInactive,
    TechnicianNotCertified,
    TechnicianNotFound,
)
from workshop.domain.job.commands import StartWork
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    BayBooked,
    BayLeft,
    BayRescheduled,
    LabourStarted,
    QcFailed,
    TechnicianAssigned,
    WorkStarted,
)
from workshop.domain.job.facts import Certification, StartFacts, TechnicianFacts
from workshop.domain.job.state import Labour
from workshop.domain.job.values import JobState
from workshop.domain.values import BayId, Timeslot

AT_NINE = StartWork(ANNA, BAY_1, planned_end=NOON, at=NINE)
STARTED = WorkStarted(ANNA, BAY_1, 1, NINE, NOON)


def certified(certification: Certification) -> StartFacts:
    return StartFacts(TechnicianFacts(known=True, certifications=(certification,)), SITE)


def test_work_starts_in_the_booked_bay() -> None:
    assert given(*BOOKED).when(decide, AT_NINE, START) == [STARTED]


def test_who_starts_work_is_on_the_clock_and_on_the_job() -> None:
    job = job_after(*WORKING)

    assert job.state is JobState.IN_PROGRESS
    assert job.labour == (Labour(1, ANNA, 0, NINE),)
    assert (job.bay, job.technician) == (BAY_1, ANNA)


def test_who_was_assigned_stays_assigned_when_another_starts() -> None:
    job = job_after(*BOOKED, TechnicianAssigned(BERND), STARTED)

    assert job.technician == BERND


def test_a_start_without_a_booking_books_the_stay() -> None:
    assert given(*READY).when(decide, AT_NINE, START) == [BayBooked(BAY_1, MORNING), STARTED]


@pytest.mark.parametrize(
    ("command", "stay"),
    [
        (replace(AT_NINE, at=MONDAY + 8.5 * HOUR), Timeslot(MONDAY + 8.5 * HOUR, NOON)),
        (replace(AT_NINE, planned_end=NOON + HOUR), Timeslot(NINE, NOON + HOUR)),
        (replace(AT_NINE, bay=BAY_2), MORNING),
    ],
)
def test_a_start_outside_the_booking_moves_it(command: StartWork, stay: Timeslot) -> None:
    assert given(*BOOKED).when(decide, command, START) == [
        BayRescheduled(command.bay, stay),
        WorkStarted(ANNA, command.bay, 1, stay.start, stay.end),
    ]


def test_work_does_not_start_before_the_job_is_ready() -> None:
    with pytest.raises(JobStateForbids):
        given(*APPROVED).when(decide, AT_NINE, START)


def test_work_that_goes_on_does_not_start_again() -> None:
    with pytest.raises(JobStateForbids):
        given(*WORKING).when(decide, replace(AT_NINE, technician=BERND), START)


def test_work_starts_again_after_the_vehicle_left_the_bay() -> None:
    again = replace(AT_NINE, bay=BAY_2, at=NOON, planned_end=NOON + HOUR)

    assert given(*FINISHED, BayLeft()).when(decide, again, START) == [
        BayBooked(BAY_2, Timeslot(NOON, NOON + HOUR)),
        WorkStarted(ANNA, BAY_2, 2, NOON, NOON + HOUR),
    ]


def test_rework_begins_like_work_and_takes_bay_and_clock_anew() -> None:
    failed = (*IN_QUALITY_CHECK, QcFailed(INSPECTOR, (1,), said("Pads rattle")))
    again = replace(AT_NINE, at=NOON, planned_end=NOON + HOUR)

    events = given(*failed).when(decide, again, START)

    assert events == [
        BayBooked(BAY_1, Timeslot(NOON, NOON + HOUR)),
        WorkStarted(ANNA, BAY_1, 2, NOON, NOON + HOUR),
    ]
    assert not job_after(*failed, *events).rework_due


def test_a_late_device_does_not_start_a_clock_before_the_last_one_stopped() -> None:
    again = replace(AT_NINE, at=TEN, planned_end=NOON + HOUR)

    events = given(*FINISHED, BayLeft()).when(decide, again, START)

    assert events[-1] == WorkStarted(ANNA, BAY_1, 2, NINE + 2 * HOUR, NOON + HOUR)


def test_a_technician_whose_clock_runs_does_not_start_again() -> None:
    outside = (*FINISHED, BayLeft(), LabourStarted(2, ANNA, 0, NOON))

    with pytest.raises(ClockAlreadyRunning) as refusal:
        given(*outside).when(decide, replace(AT_NINE, at=NOON, planned_end=NOON + HOUR), START)

    assert refusal.value.facts == {"technician": "technicians/anna", "labour": "2"}


def test_an_uncertified_technician_does_not_start() -> None:
    with pytest.raises(TechnicianNotCertified) as refusal:
        given(*BOOKED).when(decide, AT_NINE, StartFacts(UNCERTIFIED, SITE))

    assert refusal.value.facts == {
        "technician": "technicians/anna",
        "certifications": "BRAKES",
    }


@pytest.mark.parametrize(
    "certification",
    [
        Certification("BRAKES", valid_from=NINE + timedelta(microseconds=1)),
        Certification("BRAKES", valid_from=MONDAY, expires_at=NINE),
        Certification("BRAKES", valid_from=MONDAY, revoked_at=NINE),
        Certification("WELDING", valid_from=MONDAY),
    ],
)
def test_a_certification_must_hold_at_the_moment_of_the_start(
    certification: Certification,
) -> None:
    with pytest.raises(TechnicianNotCertified):
        given(*BOOKED).when(decide, AT_NINE, certified(certification))


def test_a_certification_holds_from_its_first_instant_until_its_end() -> None:
    barely = Certification("BRAKES", valid_from=NINE, expires_at=TEN, revoked_at=TEN)

    assert given(*BOOKED).when(decide, AT_NINE, certified(barely)) == [STARTED]


def test_an_unknown_technician_does_not_start() -> None:
    with pytest.raises(TechnicianNotFound):
        given(*BOOKED).when(decide, AT_NINE, StartFacts(NOBODY, SITE))


def test_a_technician_who_left_does_not_start() -> None:
    with pytest.raises(TechnicianInactive):
        given(*BOOKED).when(decide, AT_NINE, StartFacts(GONE, SITE))


def test_work_starts_in_a_bay_of_the_site() -> None:
    with pytest.raises(BayNotFound):
        given(*BOOKED).when(decide, replace(AT_NINE, bay=BayId("elsewhere")), START)


def test_work_does_not_start_in_a_retired_bay() -> None:
    with pytest.raises(BayRetired):
        given(*BOOKED).when(decide, replace(AT_NINE, bay=OLD_BAY), START)


def test_a_booking_outlasts_the_retirement_of_its_bay() -> None:
    booked = (*READY, BayBooked(OLD_BAY, MORNING))

    assert given(*booked).when(decide, replace(AT_NINE, bay=OLD_BAY), START) == [
        WorkStarted(ANNA, OLD_BAY, 1, NINE, NOON)
    ]


def test_a_stay_ends_after_it_starts() -> None:
    with pytest.raises(SlotInvalid):
        given(*BOOKED).when(decide, replace(AT_NINE, planned_end=NINE), START)
