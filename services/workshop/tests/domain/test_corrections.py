from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest

from services.workshop.tests.domain.stories import (
    ANNA,
    BERND,
    CHECKED_IN,
    CLOSED,
    ELEVEN,
    FINISHED,
    HOUR,
    MONDAY,
    NINE,
    NOON,
    PLANNED,
    RELEASED,
    SEVEN,
    TEN,
    WORKING,
    given,
    job_after,
    km,
    said,
)
from workshop.domain.errors import (
    ClockStillRunning,
    JobStateForbids,
    LabourNotFound,
    LabourOverlaps,
    MeterNotRead,
    MeterWentBackwards,
    SlotInvalid,
)
from workshop.domain.job.commands import CorrectLabour, CorrectMeter
from workshop.domain.job.decider import JOB, decide
from workshop.domain.job.events import (
    BayLeft,
    JobClosed,
    JobEvent,
    JobReopened,
    LabourCorrected,
    LabourStarted,
    LabourStopped,
    MeterCorrected,
)
from workshop.domain.job.state import Labour
from workshop.domain.job.values import MeterKind

FORGOT = said("Forgot to stop at lunch")
TYPO = said("One digit too many")
EVENING = MONDAY + 18 * HOUR
UNTIL_TEN = CorrectLabour(1, NINE, TEN, FORGOT, at=EVENING)
CORRECTED = LabourCorrected(1, NINE, TEN, FORGOT, revision=1)
METER_IN = CorrectMeter(MeterKind.IN, km(119_000), read_at=SEVEN, reason=TYPO, at=EVENING)
METER_CORRECTED = MeterCorrected(MeterKind.IN, km(119_000), SEVEN, TYPO, visit=1, revision=1)


def test_a_forgotten_clock_is_put_right_with_a_reason() -> None:
    assert given(*FINISHED).when(decide, UNTIL_TEN) == [CORRECTED]
    assert job_after(*FINISHED, CORRECTED).labour == (
        Labour(1, ANNA, 0, NINE, TEN, corrected=True),
    )


def test_a_clock_is_put_right_even_after_the_job_is_closed() -> None:
    assert given(*CLOSED).when(decide, UNTIL_TEN) == [CORRECTED]


def test_the_last_correction_of_a_clock_counts() -> None:
    again = replace(UNTIL_TEN, stopped_at=ELEVEN)

    (second,) = given(*FINISHED, CORRECTED).when(decide, again)

    assert second == LabourCorrected(1, NINE, ELEVEN, FORGOT, revision=2)
    assert job_after(*FINISHED, CORRECTED, second).labour[0].stopped_at == ELEVEN


def test_a_correction_leaves_other_clocks_alone() -> None:
    second = (LabourStarted(2, ANNA, 0, ELEVEN), LabourStopped(2, NOON))

    job = job_after(*FINISHED, *second, CORRECTED)

    assert job.labour[1] == Labour(2, ANNA, 0, ELEVEN, NOON)


def test_a_running_clock_is_stopped_and_not_corrected() -> None:
    with pytest.raises(ClockStillRunning):
        given(*WORKING).when(decide, UNTIL_TEN)


def test_an_unknown_clock_is_not_corrected() -> None:
    with pytest.raises(LabourNotFound):
        given(*FINISHED).when(decide, replace(UNTIL_TEN, labour=7))


def test_before_the_vehicle_arrived_there_is_nothing_to_correct() -> None:
    with pytest.raises(JobStateForbids):
        given(*PLANNED).when(decide, UNTIL_TEN)


@pytest.mark.parametrize(
    "impossible",
    [
        replace(UNTIL_TEN, stopped_at=NINE),
        replace(UNTIL_TEN, stopped_at=EVENING + HOUR),
    ],
)
def test_a_clock_is_not_corrected_into_the_impossible(impossible: CorrectLabour) -> None:
    with pytest.raises(SlotInvalid):
        given(*FINISHED).when(decide, impossible)


def test_a_technician_is_not_in_two_places_of_one_job() -> None:
    second = (LabourStarted(2, ANNA, 0, ELEVEN), LabourStopped(2, NOON))

    with pytest.raises(LabourOverlaps) as refusal:
        given(*FINISHED, *second).when(decide, replace(UNTIL_TEN, stopped_at=ELEVEN + HOUR / 2))

    assert refusal.value.facts == {"labour": "2"}


def test_a_correction_does_not_reach_into_a_clock_that_runs() -> None:
    running = LabourStarted(2, ANNA, 0, ELEVEN)

    with pytest.raises(LabourOverlaps):
        given(*FINISHED, running).when(decide, replace(UNTIL_TEN, stopped_at=NOON))


def test_clocks_may_touch_and_others_may_work_at_the_same_time() -> None:
    others = (
        LabourStarted(2, BERND, 0, NINE),
        LabourStopped(2, NOON),
        LabourStarted(3, ANNA, 0, ELEVEN),
        LabourStopped(3, NOON),
    )
    touching = replace(UNTIL_TEN, labour=3, started_at=NOON, stopped_at=NOON + HOUR)

    assert given(*FINISHED, *others).when(decide, replace(UNTIL_TEN, stopped_at=ELEVEN)) == [
        LabourCorrected(1, NINE, ELEVEN, FORGOT, revision=1)
    ]
    assert given(*FINISHED, *others).when(decide, touching) == [
        LabourCorrected(3, NOON, NOON + HOUR, FORGOT, revision=1)
    ]


def test_a_meter_is_put_right_as_of_when_it_was_read() -> None:
    assert given(*CHECKED_IN).when(decide, METER_IN) == [METER_CORRECTED]
    assert job_after(*CHECKED_IN, METER_CORRECTED).meter_in == km(119_000)


def test_a_meter_is_put_right_as_of_now_unless_said_otherwise() -> None:
    for read_at in (None, EVENING + HOUR):
        assert given(*CHECKED_IN).when(decide, replace(METER_IN, read_at=read_at)) == [
            replace(METER_CORRECTED, read_at=EVENING)
        ]


def test_the_meter_at_release_is_put_right() -> None:
    out = replace(METER_IN, kind=MeterKind.OUT, odometer=km(120_010))

    events = given(*RELEASED).when(decide, out)

    assert events == [MeterCorrected(MeterKind.OUT, km(120_010), SEVEN, TYPO, 1, 1)]
    job = job_after(*RELEASED, *events)
    assert (job.meter_in, job.meter_out) == (km(120_000), km(120_010))


def test_a_meter_that_was_not_read_is_not_put_right() -> None:
    with pytest.raises(MeterNotRead) as refusal:
        given(*CHECKED_IN).when(decide, replace(METER_IN, kind=MeterKind.OUT))

    assert refusal.value.facts == {"kind": "OUT"}


def test_a_correction_does_not_turn_the_meter_back() -> None:
    with pytest.raises(MeterWentBackwards) as refusal:
        given(*RELEASED).when(decide, replace(METER_IN, odometer=km(130_000)))

    assert refusal.value.facts == {
        "earlier_metres": "130000000",
        "later_metres": "120001000",
    }


def test_a_correction_of_an_earlier_visit_leaves_the_present_one_alone() -> None:
    reopened = JobReopened(said("Grinds again"), km(121_000), comeback=True, code="013-001-015")

    job = job_after(*RELEASED, reopened, METER_CORRECTED)

    assert job.meter_in == km(121_000)


def test_only_corrections_occur_before_their_predecessors() -> None:
    assert JOB.occurred(CORRECTED) == TEN
    assert JOB.occurred(METER_CORRECTED) == SEVEN
    assert JOB.occurred(JobClosed()) is None


CORRECTIONS: tuple[JobEvent, ...] = (
    CORRECTED,
    LabourCorrected(1, SEVEN, NINE, FORGOT, revision=2),
    METER_CORRECTED,
    replace(METER_CORRECTED, meter=km(119_500), revision=2),
    MeterCorrected(MeterKind.OUT, km(120_010), NOON, TYPO, visit=1, revision=1),
)
REOPENED = JobReopened(said("Grinds again"), km(121_000), comeback=True, code="013-001-015")


def interleaved(at: int, corrections: tuple[JobEvent, ...]) -> Iterator[JobEvent]:
    history = (*RELEASED, REOPENED, BayLeft())
    yield from history[:at]
    yield from corrections
    yield from history[at:]


@pytest.mark.parametrize("at", range(len(RELEASED) + 3))
def test_corrections_come_to_the_same_wherever_and_in_whatever_order_they_occur(at: int) -> None:
    told_last = given(*RELEASED, REOPENED, BayLeft(), *CORRECTIONS).state

    for order in permutations(CORRECTIONS):
        assert given(*interleaved(at, order)).state == told_last
