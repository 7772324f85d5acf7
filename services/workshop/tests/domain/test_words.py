from dataclasses import replace
from typing import get_args

import pytest

from kernel.personal import Personal
from kernel.units import Distance, DistanceUnit
from services.workshop.tests.domain.stories import (
    ANNA,
    BAY_1,
    BRAKES,
    EARLIER_JOB,
    INSPECTOR,
    INVOICED,
    MORNING,
    NINE,
    NOON,
    PADS,
    REQUESTED,
    TEN,
    WIPERS,
    km,
    said,
)
from workshop.domain.currencies import in_words
from workshop.domain.job.events import (
    AdditionalWorkFound,
    BayBooked,
    BayLeft,
    BayReleased,
    BayRescheduled,
    CompletionPromised,
    DiagnosisRecorded,
    EstimateIssued,
    JobCancelled,
    JobClosed,
    JobEvent,
    JobFlagged,
    JobHeld,
    JobRejected,
    JobReopened,
    JobResumed,
    JobTriaged,
    LabourCorrected,
    LabourStarted,
    LabourStopped,
    LineCompleted,
    LinesApproved,
    LinesDeclined,
    LinesDeferred,
    MeterCorrected,
    PartsConfirmed,
    PartsShort,
    QcFailed,
    QcPassed,
    ReturnedLine,
    TechnicianAssigned,
    VehicleCheckedIn,
    VehicleReleased,
    WorkCompleted,
    WorkStarted,
)
from workshop.domain.job.values import HoldReason, MeterKind, Priority, RepairReason
from workshop.domain.words import describe

RETURNED = ReturnedLine(1, EARLIER_JOB, 3, BRAKES.code, BRAKES.labour, (PADS,), 500, "BRAKES")
SLOT_IN_WORDS = "from 2026-11-23 09:00 UTC to 2026-11-23 12:00 UTC"
TOLD: list[tuple[JobEvent, str]] = [
    (REQUESTED[0], "Requested as J-1042 (driver): Brakes grind when cold"),
    (
        JobTriaged(Priority.NON_SCHEDULED, RepairReason.DRIVER_REPORT),
        "Planned: non scheduled, driver report",
    ),
    (JobRejected(said("Not ours")), "Rejected: Not ours"),
    (VehicleCheckedIn(km(120_000), ()), "Checked in at 120000 km"),
    (VehicleCheckedIn(km(120_000), (RETURNED,)), "Checked in at 120000 km; line 1 came back"),
    (
        DiagnosisRecorded(said("Grinds"), said("Worn"), said("Replaced")),
        "Diagnosis; complaint: Grinds; cause: Worn; correction: Replaced",
    ),
    (DiagnosisRecorded(None, None, None), "Diagnosis"),
    (
        EstimateIssued(1, "EUR", (BRAKES, WIPERS)),
        "Estimate 1: 2 lines, 284.00 EUR before tax",
    ),
    (EstimateIssued(2, "EUR", (WIPERS,)), "Estimate 2: 1 line, 47.50 EUR before tax"),
    (
        LinesApproved((1, 2), 1, automatic=True, limit_minor=50_000),
        "Approved lines 1, 2 of estimate 1, below the threshold",
    ),
    (
        LinesApproved((1,), 1, automatic=False, limit_minor=-1),
        "Approved line 1 of estimate 1",
    ),
    (LinesDeclined((2,), 1), "Declined line 2 of estimate 1"),
    (LinesDeferred((2,), 1), "Put off line 2 of estimate 1"),
    (PartsConfirmed((1, 2)), "Parts of lines 1, 2 are there"),
    (PartsShort((1,), None), "Parts of line 1 are missing"),
    (PartsShort((1,), NOON), "Parts of line 1 are missing, expected 2026-11-23 12:00 UTC"),
    (TechnicianAssigned(ANNA), "Assigned to technicians/anna"),
    (TechnicianAssigned(None), "Assigned to nobody"),
    (CompletionPromised(NOON), "Promised for 2026-11-23 12:00 UTC"),
    (BayBooked(BAY_1, MORNING), f"Booked bays/bay-1 {SLOT_IN_WORDS}"),
    (BayRescheduled(BAY_1, MORNING), f"Moved the booking to bays/bay-1 {SLOT_IN_WORDS}"),
    (BayReleased(), "Gave the booking up"),
    (BayLeft(), "Left the bay"),
    (
        WorkStarted(ANNA, BAY_1, 1, NINE, NOON),
        "Work started in bays/bay-1; clock 1 of technicians/anna runs from 2026-11-23 09:00 UTC",
    ),
    (
        LabourStarted(2, ANNA, 1, NINE),
        "Clock 2 of technicians/anna started on line 1 at 2026-11-23 09:00 UTC",
    ),
    (
        LabourStarted(2, ANNA, 0, NINE),
        "Clock 2 of technicians/anna started at 2026-11-23 09:00 UTC",
    ),
    (LabourStopped(2, TEN), "Clock 2 stopped at 2026-11-23 10:00 UTC"),
    (JobHeld(HoldReason.PARTS, None), "On hold (parts)"),
    (JobHeld(HoldReason.OTHER, said("Power is out")), "On hold (other): Power is out"),
    (JobResumed(), "Resumed"),
    (
        AdditionalWorkFound(3, "013-001-020", said("Left caliper sticks"), ""),
        "Found line 3 (013-001-020): Left caliper sticks",
    ),
    (LineCompleted(1), "Line 1 is done"),
    (WorkCompleted(NOON), "Work completed at 2026-11-23 12:00 UTC"),
    (QcPassed(INSPECTOR), "Passed the quality check"),
    (
        QcFailed(INSPECTOR, (1,), said("Pads rattle")),
        "Failed the quality check: line 1 to be done again: Pads rattle",
    ),
    (VehicleReleased(Distance(160_934, DistanceUnit.MILE)), "Released at 100 mi"),
    (INVOICED[-1], "Invoice BER-2026-000042: 337.02 EUR with tax"),
    (JobClosed(), "Closed"),
    (JobCancelled(said("Vehicle was sold")), "Cancelled: Vehicle was sold"),
    (
        JobReopened(said("Again"), km(121_000), comeback=True, code="013"),
        "Reopened as a comeback at 121000 km: Again",
    ),
    (
        JobReopened(said("Again"), km(121_000), comeback=False, code=""),
        "Reopened at 121000 km: Again",
    ),
    (
        JobFlagged("CERTIFICATION_WAS_REVOKED", "technicians/anna", NOON),
        "To be looked at: certification was revoked, technicians/anna",
    ),
    (
        LabourCorrected(1, NINE, NOON, said("Lunch"), 1),
        f"Clock 1 corrected: {SLOT_IN_WORDS}: Lunch",
    ),
    (
        MeterCorrected(MeterKind.IN, km(119_000), NINE, said("One digit too many"), 1, 1),
        "Meter in corrected to 119000 km: One digit too many",
    ),
]


@pytest.mark.parametrize(("event", "words"), TOLD, ids=[type(event).__name__ for event, _ in TOLD])
def test_an_event_is_told_in_words(event: JobEvent, words: str) -> None:
    assert describe(event) == words


def test_every_event_has_words() -> None:
    assert {type(event) for event, _ in TOLD} == set(get_args(JobEvent))


def test_what_was_erased_is_told_as_erased() -> None:
    assert describe(replace(JobRejected(said("x")), note=Personal("jobs/1"))) == (
        "Rejected: [erased]"
    )


@pytest.mark.parametrize(
    ("minor", "currency", "words"),
    [
        (41_250, "EUR", "412.50 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (41_250, "JPY", "41250 JPY"),
        (41_250, "KWD", "41.250 KWD"),
    ],
)
def test_money_is_told_in_the_digits_of_its_currency(minor: int, currency: str, words: str) -> None:
    assert in_words(minor, currency) == words
