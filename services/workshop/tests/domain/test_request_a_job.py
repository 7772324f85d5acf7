from dataclasses import replace

import pytest

from services.workshop.tests.domain.stories import (
    BERLIN,
    JOB_ID,
    PLANNED,
    REQUESTED,
    SEVEN,
    TRUCK,
    given,
    job_after,
    said,
)
from workshop.domain.errors import JobNotFound, JobStateForbids, SiteNotFound, VehicleNotFound
from workshop.domain.job.commands import RejectJob, RequestJob, TriageJob
from workshop.domain.job.decider import decide, site
from workshop.domain.job.events import JobRejected, JobRequested, JobTriaged
from workshop.domain.job.facts import RequestFacts
from workshop.domain.job.state import NoJob
from workshop.domain.job.values import JobSource, JobState, Priority, RepairReason
from workshop.domain.values import DuplicateRule

GRINDING = RequestJob(
    site=BERLIN,
    vehicle=TRUCK,
    source=JobSource.DRIVER,
    complaint=said("Brakes grind when cold"),
    system_code="013",
    requester="driver@berlin",
    at=SEVEN,
)
FACTS = RequestFacts(
    job=JOB_ID,
    number="J-1042",
    vehicle_known=True,
    site_known=True,
    rule=DuplicateRule.VEHICLE_AND_SYSTEM,
)


def test_a_driver_asks_for_a_job() -> None:
    assert given().when(decide, GRINDING, FACTS) == list(REQUESTED)


@pytest.mark.parametrize(
    ("rule", "system_code", "key"),
    [
        (DuplicateRule.VEHICLE, "013", "vehicle"),
        (DuplicateRule.VEHICLE_AND_SYSTEM, "013", "013"),
        (DuplicateRule.VEHICLE_AND_SYSTEM, "", JOB_ID),
        (DuplicateRule.NONE, "013", JOB_ID),
    ],
)
def test_the_tenants_rule_says_what_makes_two_requests_the_same(
    rule: DuplicateRule, system_code: str, key: str
) -> None:
    command = replace(GRINDING, system_code=system_code)

    (requested,) = given().when(decide, command, replace(FACTS, rule=rule))

    assert isinstance(requested, JobRequested)
    assert requested.duplicate_key == key


def test_an_unknown_vehicle_gets_no_job() -> None:
    with pytest.raises(VehicleNotFound) as refusal:
        given().when(decide, GRINDING, replace(FACTS, vehicle_known=False))

    assert refusal.value.facts == {"vehicle": f"vehicles/{TRUCK}"}


def test_an_unknown_site_gets_no_job() -> None:
    with pytest.raises(SiteNotFound) as refusal:
        given().when(decide, GRINDING, replace(FACTS, site_known=False))

    assert refusal.value.facts == {"site": f"sites/{BERLIN}"}


def test_a_job_is_requested_once() -> None:
    with pytest.raises(JobStateForbids, match="not another request"):
        given(*REQUESTED).when(decide, GRINDING, FACTS)


def test_what_was_never_requested_cannot_be_triaged() -> None:
    with pytest.raises(JobNotFound):
        given().when(decide, TriageJob(Priority.EMERGENCY, RepairReason.BREAKDOWN))


def test_a_job_belongs_to_its_site() -> None:
    assert site(NoJob()) == ""
    assert site(job_after(*REQUESTED)) == BERLIN


def test_a_request_is_planned_with_priority_and_reason() -> None:
    command = TriageJob(Priority.NON_SCHEDULED, RepairReason.DRIVER_REPORT)

    assert given(*REQUESTED).when(decide, command) == [
        JobTriaged(Priority.NON_SCHEDULED, RepairReason.DRIVER_REPORT)
    ]
    assert job_after(*PLANNED).state is JobState.PLANNED


def test_a_request_is_rejected_with_a_note() -> None:
    rejected = JobRejected(said("Not a vehicle of ours"))

    assert given(*REQUESTED).when(decide, RejectJob(rejected.note)) == [rejected]
    assert job_after(*REQUESTED, rejected).state is JobState.REJECTED


def test_a_planned_job_is_not_triaged_again_and_the_refusal_says_what_is_allowed() -> None:
    with pytest.raises(JobStateForbids) as refusal:
        given(*PLANNED).when(decide, TriageJob(Priority.EMERGENCY, RepairReason.BREAKDOWN))

    assert refusal.value.facts == {
        "state": "PLANNED",
        "allowed": "checkIn,assign,promise,bookBay,cancel",
    }
    assert refusal.value.message == (
        "job J-1042 is planned: it allows checkIn, assign, promise, bookBay, cancel, not triage"
    )


def test_a_rejected_job_allows_nothing() -> None:
    with pytest.raises(JobStateForbids, match="is rejected: it allows nothing, not reject"):
        given(*REQUESTED, JobRejected(said("No"))).when(decide, RejectJob(said("No")))
