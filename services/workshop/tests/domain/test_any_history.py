"""Whatever the past was, it folds: the past is not open to debate."""

from typing import get_args

from hypothesis import HealthCheck, settings
from hypothesis import given as whatever
from hypothesis import strategies as st

from services.workshop.tests.domain.stories import given
from workshop.domain.job.allowed import ALLOWED, allowed_actions
from workshop.domain.job.claims import SCOPES
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent, JobRequested
from workshop.domain.job.state import Job
from workshop.domain.site import SITE, SiteEvent
from workshop.domain.tenant import TENANT, TenantEvent
from workshop.domain.values import DuplicateRule
from workshop.domain.words import describe

job_events: st.SearchStrategy[JobEvent] = st.one_of(
    *(st.from_type(event) for event in get_args(JobEvent))
)
histories = st.lists(job_events, max_size=30)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
VERBS = {allowed.verb for allowed in ALLOWED.values()}


@patient
@whatever(st.from_type(JobRequested), histories)
def test_any_history_of_a_job_folds(requested: JobRequested, history: list[JobEvent]) -> None:
    job = given(requested, *history).state

    assert isinstance(job, Job)
    assert job.number == requested.number
    assert set(allowed_actions(job)) <= VERBS


@patient
@whatever(histories)
def test_any_state_has_its_claims(history: list[JobEvent]) -> None:
    for claim in JOB.claims(given(*history).state):
        assert claim.scope in SCOPES or claim.scope.startswith("number/")


@patient
@whatever(job_events)
def test_any_event_can_be_told_in_words(event: JobEvent) -> None:
    assert describe(event)


@patient
@whatever(st.lists(st.one_of(*(st.from_type(event) for event in get_args(SiteEvent)))))
def test_any_history_of_a_site_folds(history: list[SiteEvent]) -> None:
    site = SITE.initial
    for event in history:
        site = SITE.evolve(site, event)

    assert len(SITE.claims(site)) <= 1


@patient
@whatever(st.lists(st.one_of(*(st.from_type(event) for event in get_args(TenantEvent)))))
def test_any_history_of_settings_folds(history: list[TenantEvent]) -> None:
    rules = TENANT.initial
    for event in history:
        rules = TENANT.evolve(rules, event)

    assert rules.duplicate_rule in DuplicateRule
