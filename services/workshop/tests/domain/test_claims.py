from uuid import UUID

import pytest

from eventstore.store import Claim
from kernel.errors import DomainError
from services.workshop.tests.domain.stories import (
    BAY_1,
    BOOKED,
    BRAKES,
    CLOSED,
    EARLIER_JOB,
    ELEVEN,
    FINISHED,
    IN_QUALITY_CHECK,
    INVOICED,
    NINE,
    NOON,
    PADS,
    PLANNED,
    RELEASED,
    REQUESTED,
    TEN,
    WORKING,
    Story,
    given,
    km,
    said,
)
from workshop.domain.errors import (
    BayOccupied,
    DeferredLineTaken,
    DuplicateJob,
    SlotTaken,
    TechnicianClockedElsewhere,
)
from workshop.domain.job.claims import SCOPES
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import (
    BayLeft,
    BayReleased,
    JobCancelled,
    JobHeld,
    JobRejected,
    JobReopened,
    LabourCorrected,
    LabourStopped,
    LineCompleted,
    ReturnedLine,
    VehicleCheckedIn,
)
from workshop.domain.job.values import HoldReason

OPEN = Claim("open-job", "truck/013")
CLOCK_RUNS = Claim("clock", "anna", NINE)
CLOCK_RAN = Claim("clock", "anna", NINE, ELEVEN)
SLOT = Claim("slot", BAY_1, NINE, NOON)
IN_BAY = Claim("bay", BAY_1)
NUMBER = Claim("number/BER-2026", "42")
TAKEN_BACK = Claim("deferred-line", f"{EARLIER_JOB}/3")
RETURNED = ReturnedLine(1, EARLIER_JOB, 3, BRAKES.code, BRAKES.labour, (PADS,), 500, "BRAKES")
CAME_BACK = (*PLANNED, VehicleCheckedIn(km(120_000), (RETURNED,)))
CANCELLED = JobCancelled(said("Vehicle was sold"))
HOLDER = UUID("0190a5d2-7c1e-7b3a-9f00-000000000007")


@pytest.mark.parametrize(
    ("story", "claims"),
    [
        ((), set()),
        (REQUESTED, {OPEN}),
        ((*REQUESTED, JobRejected(said("No"))), set()),
        (BOOKED, {OPEN, SLOT}),
        ((*BOOKED, BayReleased()), {OPEN}),
        (WORKING, {OPEN, SLOT, IN_BAY, CLOCK_RUNS}),
        (FINISHED, {OPEN, SLOT, IN_BAY, CLOCK_RAN}),
        ((*FINISHED, JobHeld(HoldReason.PARTS, None)), {OPEN, SLOT, IN_BAY, CLOCK_RAN}),
        ((*FINISHED, BayLeft()), {OPEN, CLOCK_RAN}),
        (IN_QUALITY_CHECK, {OPEN, CLOCK_RAN}),
        ((*FINISHED, CANCELLED), {CLOCK_RAN}),
        (RELEASED, {CLOCK_RAN}),
        (INVOICED, {CLOCK_RAN, NUMBER}),
        (CLOSED, {CLOCK_RAN, NUMBER}),
        (
            (*CLOSED, JobReopened(said("Again"), km(121_000), comeback=True, code="")),
            {CLOCK_RAN, NUMBER, OPEN},
        ),
    ],
)
def test_a_job_claims_what_no_other_may_have(story: Story, claims: set[Claim]) -> None:
    assert JOB.claims(given(*story).state) == claims


def test_a_corrected_clock_claims_the_corrected_time() -> None:
    corrected = LabourCorrected(1, NINE, TEN, said("Lunch"), revision=1)

    assert Claim("clock", "anna", NINE, TEN) in JOB.claims(given(*FINISHED, corrected).state)


def test_a_clock_that_stopped_as_it_started_claims_nothing() -> None:
    stopped = (*WORKING, LabourStopped(1, NINE))

    assert JOB.claims(given(*stopped).state) == {OPEN, SLOT, IN_BAY}


def test_a_line_that_came_back_is_taken_until_the_job_is_cancelled() -> None:
    assert JOB.claims(given(*CAME_BACK).state) == {OPEN, TAKEN_BACK}
    assert JOB.claims(given(*CAME_BACK, CANCELLED).state) == set()


def test_a_line_that_came_back_and_was_done_stays_taken() -> None:
    assert JOB.claims(given(*CAME_BACK, LineCompleted(1), CANCELLED).state) == {TAKEN_BACK}


def test_every_claim_is_in_a_known_scope_or_numbers_a_series() -> None:
    for story in (WORKING, CLOSED, CAME_BACK):
        for claim in JOB.claims(given(*story).state):
            assert claim.scope in SCOPES or claim.scope.startswith("number/")


@pytest.mark.parametrize(
    ("scope", "key", "refusal", "facts"),
    [
        ("clock", "anna", TechnicianClockedElsewhere, {"technician": "technicians/anna"}),
        ("slot", "bay-1", SlotTaken, {"bay": "bays/bay-1"}),
        ("bay", "bay-1", BayOccupied, {"bay": "bays/bay-1"}),
        ("open-job", "truck/013", DuplicateJob, {}),
        ("deferred-line", f"{EARLIER_JOB}/3", DeferredLineTaken, {}),
    ],
)
def test_a_refusal_names_the_job_that_holds_it(
    scope: str, key: str, refusal: type[DomainError], facts: dict[str, str]
) -> None:
    error = JOB.taken(scope, key, HOLDER)

    assert isinstance(error, refusal)
    assert error.facts == {"job_id": f"jobs/{HOLDER}", **facts}


def test_a_number_that_was_taken_is_asked_for_again() -> None:
    assert JOB.taken("number/BER-2026", "42", HOLDER) is None
