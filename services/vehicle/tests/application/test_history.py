from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import HealthCheck, settings
from hypothesis import given as whatever
from hypothesis import strategies as st

from kernel.money import Money
from kernel.units import Distance, DistanceUnit
from vehicle.application.history import (
    JobHistory,
    Occurred,
    Stay,
    Visit,
    VisitState,
    evolve,
    visits,
)
from vehicle.application.job_events import (
    AdditionalWorkFound,
    Charge,
    EstimateIssued,
    JobCancelled,
    JobClosed,
    JobEvent,
    JobId,
    JobInvoiced,
    JobRejected,
    JobReopened,
    JobRequested,
    LineCompleted,
    MeterCorrected,
    MeterKind,
    QcFailed,
    Task,
    VehicleCheckedIn,
    VehicleReleased,
    WorkCompleted,
)
from vehicle.domain.values import VehicleId

JOB, TRUCK = JobId("job-1"), VehicleId("truck-1")
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
BRAKES, TYRES, WIPERS = "013-001", "017-001", "002-003"
METER = Distance(120_000_000)
MILES = Distance(193_121_280, DistanceUnit.MILE)

REQUESTED = JobRequested("J-1042", TRUCK, MONDAY)
CHECKED_IN = VehicleCheckedIn(METER, ())
ESTIMATED = EstimateIssued((Task(1, BRAKES), Task(2, TYRES)))
DONE = (LineCompleted(1), LineCompleted(2), WorkCompleted())
UNTIL_RELEASED = (REQUESTED, CHECKED_IN, ESTIMATED, *DONE, VehicleReleased())


def hour(number: int) -> datetime:
    return MONDAY + timedelta(hours=number)


def history(*events: JobEvent) -> JobHistory:
    """One event an hour, from Monday morning."""
    job = JobHistory()
    for number, event in enumerate(events):
        job = evolve(job, Occurred(hour(number), event))
    return job


def visits_of(*events: JobEvent) -> list[Visit]:
    return visits(JOB, history(*events))


def last_visit(*events: JobEvent) -> Visit:
    return visits_of(*events)[-1]


def test_a_request_is_a_visit_that_has_not_begun() -> None:
    assert visits_of(REQUESTED) == [Visit(JOB, "J-1042", VisitState.REQUESTED, MONDAY)]


def test_a_visit_knows_its_vehicle() -> None:
    assert history(REQUESTED).vehicle == TRUCK


def test_a_request_may_be_refused() -> None:
    assert last_visit(REQUESTED, JobRejected()).state is VisitState.REJECTED


def test_a_vehicle_arrives_with_what_its_meter_shows() -> None:
    visit = last_visit(REQUESTED, VehicleCheckedIn(MILES, ()))

    assert (visit.state, visit.meter_in) == (VisitState.ARRIVED, MILES)


def test_only_what_is_done_is_told() -> None:
    assert last_visit(REQUESTED, CHECKED_IN, ESTIMATED).codes == ()
    assert last_visit(REQUESTED, CHECKED_IN, ESTIMATED, LineCompleted(2)).codes == (TYRES,)


def test_what_was_done_is_told_in_the_order_of_its_lines() -> None:
    done = (LineCompleted(2), LineCompleted(1))

    assert last_visit(REQUESTED, CHECKED_IN, ESTIMATED, *done).codes == (BRAKES, TYRES)


def test_what_was_put_off_and_what_was_found_is_told_when_done() -> None:
    returned = VehicleCheckedIn(METER, (Task(1, BRAKES),))
    found = AdditionalWorkFound(2, WIPERS)

    visit = last_visit(REQUESTED, returned, found, LineCompleted(1), LineCompleted(2))

    assert visit.codes == (BRAKES, WIPERS)


def test_a_line_that_was_priced_anew_is_told_as_it_was_priced_last() -> None:
    anew = EstimateIssued((Task(1, WIPERS),))

    assert last_visit(REQUESTED, CHECKED_IN, ESTIMATED, anew, *DONE).codes == (WIPERS, TYRES)


def test_work_is_completed_before_the_vehicle_leaves() -> None:
    visit = last_visit(REQUESTED, CHECKED_IN, ESTIMATED, *DONE)

    assert (visit.state, visit.released_at) == (VisitState.COMPLETED, None)


def test_what_failed_its_inspection_is_not_done() -> None:
    visit = last_visit(REQUESTED, CHECKED_IN, ESTIMATED, *DONE, QcFailed((1,)))

    assert (visit.state, visit.codes) == (VisitState.ARRIVED, (TYRES,))


def test_a_vehicle_leaves_when_it_is_released() -> None:
    visit = last_visit(*UNTIL_RELEASED)

    assert (visit.state, visit.released_at) == (VisitState.RELEASED, hour(6))


def test_what_was_invoiced_is_told_before_tax() -> None:
    invoiced = JobInvoiced("EUR", (Charge(14_250, 8_900, 500), Charge(4_750, 0, 0)))

    visit = last_visit(*UNTIL_RELEASED, invoiced)

    assert (visit.state, visit.net) == (VisitState.INVOICED, Money(28_400, "EUR"))


def test_an_invoice_over_nothing_is_nothing_in_its_currency() -> None:
    assert last_visit(*UNTIL_RELEASED, JobInvoiced("SEK", ())).net == Money(0, "SEK")


def test_a_closed_job_keeps_what_is_told_of_it() -> None:
    invoiced = (*UNTIL_RELEASED, JobInvoiced("EUR", (Charge(100, 0, 0),)))

    visit = last_visit(*invoiced, JobClosed())

    assert (visit.state, visit.net) == (VisitState.CLOSED, Money(100, "EUR"))
    assert (visit.released_at, visit.codes) == (hour(6), (BRAKES, TYRES))


def test_a_job_may_be_given_up() -> None:
    assert last_visit(REQUESTED, CHECKED_IN, JobCancelled()).state is VisitState.CANCELLED


def test_a_job_that_is_reopened_is_one_more_visit() -> None:
    first, second = visits_of(*UNTIL_RELEASED, JobReopened(MILES))

    assert first == last_visit(*UNTIL_RELEASED)
    assert second == Visit(JOB, "J-1042", VisitState.ARRIVED, hour(7), meter_in=MILES)


def test_each_visit_has_its_own_work_and_its_own_leaving() -> None:
    found = AdditionalWorkFound(3, WIPERS)
    again = (JobReopened(MILES), found, LineCompleted(3), WorkCompleted(), VehicleReleased())

    first, second = visits_of(*UNTIL_RELEASED, *again)

    assert (first.codes, first.released_at) == ((BRAKES, TYRES), hour(6))
    assert (second.codes, second.released_at) == ((WIPERS,), hour(11))


def test_a_meter_that_was_misread_is_put_right_for_its_visit_alone() -> None:
    twice = (*UNTIL_RELEASED, JobReopened(METER))

    first, second = visits_of(*twice, MeterCorrected(MeterKind.IN, MILES, visit=1))

    assert (first.meter_in, second.meter_in) == (MILES, METER)


def test_what_the_meter_showed_on_leaving_is_not_told() -> None:
    corrected = MeterCorrected(MeterKind.OUT, MILES, visit=1)

    assert visits_of(*UNTIL_RELEASED, corrected) == visits_of(*UNTIL_RELEASED)


def test_a_job_of_which_nothing_is_known_has_no_visits() -> None:
    assert visits_of() == []


job_events: st.SearchStrategy[JobEvent] = st.one_of(
    *(st.from_type(event) for event in get_args(JobEvent))
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@whatever(st.from_type(JobRequested), st.lists(st.tuples(st.datetimes(), job_events)))
def test_any_history_that_begins_with_a_request_folds(
    requested: JobRequested, later: list[tuple[datetime, JobEvent]]
) -> None:
    job = evolve(JobHistory(), Occurred(requested.requested_at, requested))

    for at, event in later:
        job = evolve(job, Occurred(at, event))

    told = visits(JOB, job)
    assert len(told) == len(job.stays) >= 1
    assert all(isinstance(stay, Stay) for stay in job.stays)
    assert {visit.number for visit in told} == {job.number}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@whatever(st.lists(st.tuples(st.datetimes(), job_events)))
def test_of_a_job_whose_request_is_not_known_nothing_is_told(
    events: list[tuple[datetime, JobEvent]],
) -> None:
    job = JobHistory()

    for at, event in events:
        job = job if isinstance(event, JobRequested) else evolve(job, Occurred(at, event))

    assert visits(JOB, job) == []
