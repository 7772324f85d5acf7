from datetime import timedelta

import pytest

from services.workshop.tests.domain.stories import (
    ANNA,
    BAY_1,
    BAY_2,
    BOOKED,
    CERTIFIED,
    EIGHT,
    FINISHED,
    GONE,
    IN_QUALITY_CHECK,
    MORNING,
    NINE,
    NOBODY,
    NOON,
    OLD_BAY,
    PLANNED,
    READY,
    REQUESTED,
    SITE,
    TEN,
    WORKING,
    given,
    job_after,
)
from workshop.domain.errors import (
    BayAlreadyBooked,
    BayNotBooked,
    BayNotFound,
    BayRetired,
    ClockStillRunning,
    JobStateForbids,
    NotInABay,
    SiteClosed,
    SlotInvalid,
    TechnicianInactive,
    TechnicianNotFound,
)
from workshop.domain.job.commands import (
    AssignTechnician,
    BookBay,
    LeaveBay,
    PromiseCompletion,
    ReleaseBay,
    RescheduleBay,
)
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    BayBooked,
    BayLeft,
    BayReleased,
    BayRescheduled,
    CompletionPromised,
    TechnicianAssigned,
)
from workshop.domain.job.state import Booking
from workshop.domain.values import BayId, Timeslot

AT_NIGHT = Timeslot(NINE + timedelta(hours=14), NINE + timedelta(hours=15))


def test_a_technician_is_assigned() -> None:
    assert given(*PLANNED).when(decide, AssignTechnician(ANNA, EIGHT), CERTIFIED) == [
        TechnicianAssigned(ANNA)
    ]
    assert job_after(*PLANNED, TechnicianAssigned(ANNA)).technician == ANNA


def test_a_job_can_be_taken_from_everybody() -> None:
    assigned = (*PLANNED, TechnicianAssigned(ANNA))

    assert given(*assigned).when(decide, AssignTechnician(None, EIGHT), NOBODY) == [
        TechnicianAssigned(None)
    ]
    assert job_after(*assigned, TechnicianAssigned(None)).technician is None


def test_an_unknown_technician_is_not_assigned() -> None:
    with pytest.raises(TechnicianNotFound):
        given(*PLANNED).when(decide, AssignTechnician(ANNA, EIGHT), NOBODY)


def test_a_technician_who_left_is_not_assigned() -> None:
    with pytest.raises(TechnicianInactive):
        given(*PLANNED).when(decide, AssignTechnician(ANNA, EIGHT), GONE)


def test_a_completion_is_promised() -> None:
    assert given(*PLANNED).when(decide, PromiseCompletion(NOON)) == [CompletionPromised(NOON)]
    assert job_after(*PLANNED, CompletionPromised(NOON)).promised_at == NOON


def test_nothing_is_promised_once_work_is_completed() -> None:
    with pytest.raises(JobStateForbids):
        given(*IN_QUALITY_CHECK).when(decide, PromiseCompletion(NOON))


def test_a_bay_is_booked() -> None:
    assert given(*PLANNED).when(decide, BookBay(BAY_1, MORNING), SITE) == [
        BayBooked(BAY_1, MORNING)
    ]
    assert job_after(*PLANNED, BayBooked(BAY_1, MORNING)).booking == Booking(BAY_1, MORNING)


def test_a_job_books_one_bay() -> None:
    with pytest.raises(BayAlreadyBooked) as refusal:
        given(*BOOKED).when(decide, BookBay(BAY_2, MORNING), SITE)

    assert refusal.value.facts == {"bay": "bays/bay-1"}


def test_no_bay_is_booked_before_the_job_is_planned() -> None:
    with pytest.raises(JobStateForbids):
        given(*REQUESTED).when(decide, BookBay(BAY_1, MORNING), SITE)


def test_an_unknown_bay_is_not_booked() -> None:
    with pytest.raises(BayNotFound):
        given(*PLANNED).when(decide, BookBay(BayId("elsewhere"), MORNING), SITE)


def test_a_retired_bay_is_not_booked() -> None:
    with pytest.raises(BayRetired):
        given(*PLANNED).when(decide, BookBay(OLD_BAY, MORNING), SITE)


def test_a_slot_ends_after_it_starts() -> None:
    with pytest.raises(SlotInvalid):
        given(*PLANNED).when(decide, BookBay(BAY_1, Timeslot(NINE, NINE)), SITE)


def test_no_bay_is_booked_while_the_site_is_closed() -> None:
    with pytest.raises(SiteClosed):
        given(*PLANNED).when(decide, BookBay(BAY_1, AT_NIGHT), SITE)


def test_a_booking_is_moved() -> None:
    later = Timeslot(TEN, NOON)

    assert given(*BOOKED).when(decide, RescheduleBay(BAY_2, later), SITE) == [
        BayRescheduled(BAY_2, later)
    ]
    assert job_after(*BOOKED, BayRescheduled(BAY_2, later)).booking == Booking(BAY_2, later)


def test_what_is_not_booked_is_not_moved() -> None:
    with pytest.raises(BayNotBooked):
        given(*READY).when(decide, RescheduleBay(BAY_1, MORNING), SITE)


def test_while_the_vehicle_stands_in_its_bay_only_the_time_changes() -> None:
    longer = Timeslot(NINE, NOON + timedelta(hours=1))

    assert given(*WORKING).when(decide, RescheduleBay(BAY_1, longer), SITE) == [
        BayRescheduled(BAY_1, longer)
    ]
    with pytest.raises(SlotInvalid):
        given(*WORKING).when(decide, RescheduleBay(BAY_2, longer), SITE)


def test_a_booking_is_given_up() -> None:
    assert given(*BOOKED).when(decide, ReleaseBay()) == [BayReleased()]
    assert job_after(*BOOKED, BayReleased()).booking is None


def test_what_is_not_booked_is_not_given_up() -> None:
    with pytest.raises(BayNotBooked):
        given(*READY).when(decide, ReleaseBay())


def test_a_booking_is_not_given_up_while_the_vehicle_stands_in_the_bay() -> None:
    with pytest.raises(JobStateForbids):
        given(*WORKING).when(decide, ReleaseBay())


def test_a_vehicle_leaves_its_bay() -> None:
    assert given(*FINISHED).when(decide, LeaveBay()) == [BayLeft()]
    job = job_after(*FINISHED, BayLeft())
    assert (job.bay, job.booking) == (None, None)


def test_a_vehicle_does_not_leave_while_a_clock_runs() -> None:
    with pytest.raises(ClockStillRunning) as refusal:
        given(*WORKING).when(decide, LeaveBay())

    assert refusal.value.facts == {"labour": "1", "technician": "technicians/anna"}


def test_a_vehicle_leaves_once() -> None:
    with pytest.raises(NotInABay):
        given(*FINISHED, BayLeft()).when(decide, LeaveBay())
