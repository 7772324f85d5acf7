"""The service history and the workload say of any job what the workshop itself says of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, reduce
from random import Random
from typing import TypeAlias, get_args

import pytest

from assembly.selected import IRRELEVANT
from technician.adapters import codec as technician
from technician.application import work
from tests.differential.walks import JOB, MONDAY, Walk
from vehicle.adapters import codec as vehicle
from vehicle.application import history
from vehicle.application.history import Visit, VisitState
from vehicle.application.job_events import JobId
from workshop.adapters.codec import JOB_EVENTS, job_message
from workshop.application.ports import Known
from workshop.application.projections import job_view
from workshop.domain.bounds import MOST_NET_MINOR
from workshop.domain.job.allowed import allowed_actions
from workshop.domain.job.decider import JOB as JOB_DECIDER
from workshop.domain.job.events import JobEvent, JobInvoiced
from workshop.domain.job.state import Job
from workshop.domain.job.values import JobState, LineState

Told: TypeAlias = Sequence[tuple[datetime, JobEvent]]

FIRSTS, CHUNK = range(0, 2000, 100), 100
NOT_ARRIVED = {JobState.REQUESTED: VisitState.REQUESTED, JobState.PLANNED: VisitState.REQUESTED}
SAME = {state: VisitState[state] for state in JobState if state in VisitState.__members__}
STATES = SAME | NOT_ARRIVED | {JobState.QUALITY_CHECK: VisitState.COMPLETED}
OVER = STATES.keys() - NOT_ARRIVED.keys()


@pytest.mark.parametrize("first", FIRSTS)
def test_the_service_history_tells_what_became_of_a_job(first: int) -> None:
    for walk in walks(first):
        told = visits(walk.told)

        assert len(told) == walk.job.visit
        assert summary(told[-1]) == expected_summary(walk.job)
        assert [each.net for each in told if each.net] == [each.net for each in walk.job.invoices]


@pytest.mark.parametrize("first", FIRSTS)
def test_the_workload_tells_whose_clocks_ran_and_who_has_a_job(first: int) -> None:
    for walk in walks(first):
        told, job = worked(walk.told), walk.job

        assert told.technician == job.technician
        assert told.is_open == (job.state not in OVER)
        assert told.completions == len(job.completions)
        assert clocks(told.clocks) == clocks(job.labour)


@pytest.mark.parametrize("first", FIRSTS[:5])
def test_a_job_of_which_any_events_are_not_known_is_folded_and_shown_by_all(first: int) -> None:
    chance = Random(first)
    for walk in walks(first):
        told = [each for each in walk.told if chance.random() < 0.8]
        job = reduce(JOB_DECIDER.evolve, (event for _, event in told), JOB_DECIDER.initial)

        if isinstance(job, Job):
            shown = job_message(JOB, Known(job, 1), allowed_actions(job))
            assert shown.number == job.number
            assert job_view(job, MONDAY).row.number == job.number
        assert all(visit.state for visit in visits(told))
        assert worked(told).completions <= len(told)


def test_the_walks_come_everywhere_a_job_can_come() -> None:
    some = [*walks(0), *walks(CHUNK), *walks(2 * CHUNK)]

    assert {state for walk in some for state in walk.states} == set(JobState)
    assert {type(event) for walk in some for _, event in walk.told} == set(get_args(JobEvent))
    assert max(walk.job.visit for walk in some) > 2
    assert any(clock.corrected for walk in some for clock in walk.job.labour)


def test_the_service_history_shows_what_the_dearest_job_cost() -> None:
    """Past that the workshop invoices nothing."""
    walk = next(walk for walk in walks(0) if walk.job.invoices)
    told = [(at, dearest(event)) for at, event in walk.told]

    costs = [vehicle.VISIT.to_message(each).net.minor for each in visits(told) if each.net]

    assert costs == [MOST_NET_MINOR] * len(costs) != []


def dearest(event: JobEvent) -> JobEvent:
    if not isinstance(event, JobInvoiced):
        return event
    free = [
        replace(line, labour_minor=0, parts_minor=0, fees_minor=0, tax_minor=0)
        for line in event.lines
    ]
    most = replace(free[0], fees_minor=MOST_NET_MINOR, tax_minor=MOST_NET_MINOR)
    return replace(event, lines=(most, *free[1:]))


@cache
def walks(first: int) -> list[Walk]:
    return [Walk(seed) for seed in range(first, first + CHUNK)]


def visits(events: Told) -> list[Visit]:
    decoded = ((at, vehicle.JOB_EVENTS.decode(stored(event))) for at, event in events)
    known = (
        history.Occurred(at, event)
        for at, event in decoded
        if event is not None and event is not IRRELEVANT
    )
    return history.visits(JobId(JOB), reduce(history.evolve, known, history.JobHistory()))


def worked(events: Told) -> work.JobWork:
    decoded = (technician.JOB_EVENTS.decode(stored(event)) for _, event in events)
    known = (event for event in decoded if event is not None and event is not IRRELEVANT)
    return reduce(work.evolve, known, work.JobWork())


def stored(event: JobEvent) -> bytes:
    return JOB_EVENTS.encode(event).SerializeToString()


def summary(visit: Visit) -> tuple[object, ...]:
    return visit.state, visit.meter_in, sorted(visit.codes)


def expected_summary(job: Job) -> tuple[object, ...]:
    done = sorted(line.code for line in job.visit_lines if line.state is LineState.DONE)
    return STATES.get(job.state, VisitState.ARRIVED), job.meter_in, done


def clocks(found: tuple[object, ...]) -> list[tuple[object, ...]]:
    names = ("labour", "technician", "started_at", "stopped_at")
    return [tuple(getattr(clock, name) for name in names) for clock in found]
