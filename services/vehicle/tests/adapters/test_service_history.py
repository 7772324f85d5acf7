"""However often job events come, the service history is their fold."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from assembly.selected import IRRELEVANT
from bayline.type.v1 import values_pb2
from bayline.vehicle.v1 import vehicle_pb2
from bayline.workshop.v1 import events_pb2, job_pb2
from eventstore.chain import shard_of
from kernel.ids import Uuid7
from messaging.envelope import Envelope
from runtime.database import rows
from vehicle.adapters import codec
from vehicle.application.history import JobHistory, Occurred, evolve, visits
from vehicle.application.job_events import JobId

if TYPE_CHECKING:
    from services.vehicle.tests.adapters.conftest import Fleet

pytestmark = pytest.mark.integration

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
IDS = Uuid7()


def reading(kilometres: int) -> values_pb2.Distance:
    return values_pb2.Distance(metres=kilometres * 1000, unit=values_pb2.DISTANCE_UNIT_KILOMETRE)


def story(vehicle: str, number: str, requested_at: datetime) -> list[events_pb2.JobEvent]:
    """Two lines, one of which fails its inspection; the vehicle comes back, and is still here."""
    priced = [events_pb2.EstimatedLine(line=n, code=f"013-00{n}") for n in (1, 2)]
    charged = [job_pb2.InvoiceLine(line=1, labour_minor=14_250, parts_minor=8_900, fees_minor=5)]
    steps: list[tuple[str, dict[str, Any]]] = [
        ("job_requested", {"number": number, "vehicle": vehicle, "requested_at": requested_at}),
        ("vehicle_checked_in", {"meter": reading(120_000)}),
        ("estimate_issued", {"currency": "EUR", "lines": priced}),
        ("lines_approved", {"lines": [1, 2]}),
        ("line_completed", {"line": 1}),
        ("line_completed", {"line": 2}),
        ("work_completed", {}),
        ("qc_failed", {"lines": [2]}),
        ("work_completed", {}),
        ("qc_passed", {}),
        ("vehicle_released", {"meter": reading(120_003)}),
        ("job_invoiced", {"currency": "EUR", "lines": charged}),
        ("job_closed", {}),
        ("job_reopened", {"meter": reading(121_000)}),
        ("additional_work_found", {"line": 3, "code": "002-003"}),
        ("line_completed", {"line": 3}),
        (
            "meter_corrected",
            {"kind": job_pb2.METER_KIND_IN, "meter": reading(119_000), "visit": 1, "revision": 1},
        ),
    ]
    return [job_event(case, fields) for case, fields in steps]


def job_event(case: str, fields: dict[str, Any]) -> events_pb2.JobEvent:
    record = events_pb2.JobEvent()
    event = getattr(record, case)
    event.SetInParent()
    event.MergeFrom(type(event)(**fields))
    return record


def envelopes(
    tenant: str, job: str, requested_at: datetime, records: Sequence[events_pb2.JobEvent]
) -> list[Envelope]:
    return [
        Envelope(
            topic=codec.JOB_EVENTS.log,
            shard=shard_of(tenant, UUID(job)),
            pos=version,
            tenant=tenant,
            stream=job,
            version=version,
            event_id=str(IDS.new()),
            type="",
            occurred_at=requested_at + timedelta(hours=version),
            recorded_at=requested_at + timedelta(hours=version),
            data=record.SerializeToString(),
            meta=b"",
            previous_hash=b"",
            epoch="",
        )
        for version, record in enumerate(records, start=1)
    ]


def three_jobs(tenant: str, vehicle: str) -> list[list[Envelope]]:
    """Each of them further on than the next: back again, invoiced, at work."""
    jobs = []
    for number, reached in enumerate((17, 12, 6)):
        at = MONDAY + timedelta(days=number)
        records = story(vehicle, f"J-{number}", at)[:reached]
        jobs.append(envelopes(tenant, str(IDS.new()), at, records))
    return jobs


def told_by(jobs: Sequence[Sequence[Envelope]]) -> list[vehicle_pb2.ServiceVisit]:
    """The pure fold, latest visit first."""
    found = [visit for job in jobs for visit in visits(JobId(job[0].stream), folded(job))]
    latest_first = sorted(found, key=lambda visit: visit.requested_at, reverse=True)
    return [codec.VISIT.to_message(visit) for visit in latest_first]


def folded(job: Sequence[Envelope]) -> JobHistory:
    history = JobHistory()
    for envelope in job:
        event = codec.JOB_EVENTS.decode(envelope.data)
        assert event is not None
        if event is not IRRELEVANT:
            history = evolve(history, Occurred(envelope.occurred_at, event))
    return history


def interleaved(jobs: Sequence[Sequence[Envelope]], chance: random.Random) -> list[Envelope]:
    """Jobs in any order, each job's events in theirs."""
    turns = [job for job in map(iter, jobs) for _ in range(20)]
    chance.shuffle(turns)
    return [envelope for job in turns if (envelope := next(job, None))]


async def history_of(fleet: "Fleet", vehicle: str, **asked: Any) -> list[vehicle_pb2.ServiceVisit]:
    reply = await fleet.ask("ListServiceHistory", name=vehicle, **asked)
    return list(reply.message.visits)


async def test_a_history_that_came_once_is_the_fold(fleet: "Fleet") -> None:
    truck, van = (await fleet.registered()).name, (await fleet.registered()).name
    of_truck, of_van = three_jobs(fleet.tenant, truck), three_jobs(fleet.tenant, van)

    await fleet.learn(interleaved([*of_truck, *of_van], random.Random(1)))

    assert await history_of(fleet, truck) == told_by(of_truck)
    assert await history_of(fleet, van) == told_by(of_van)
    assert [visit.state for visit in told_by(of_truck)] == [
        vehicle_pb2.VISIT_STATE_ARRIVED,
        vehicle_pb2.VISIT_STATE_INVOICED,
        vehicle_pb2.VISIT_STATE_ARRIVED,
        vehicle_pb2.VISIT_STATE_CLOSED,
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_a_history_that_came_again_and_again_is_the_fold(fleet: "Fleet", seed: int) -> None:
    """In batches of any size, each of which may begin before the last one ended."""
    chance = random.Random(seed)
    truck = (await fleet.registered()).name
    jobs = three_jobs(fleet.tenant, truck)
    events = interleaved(jobs, chance)

    done = 0
    while done < len(events):
        begin = max(0, done - chance.randint(0, 9))
        done = max(done, begin + chance.randint(1, 9))
        await fleet.learn(events[begin:done])
        await fleet.learn(events[begin:done])
    await fleet.learn([*events, *events])

    assert await history_of(fleet, truck) == told_by(jobs)


async def test_a_history_is_read_in_pages(fleet: "Fleet") -> None:
    truck = (await fleet.registered()).name
    jobs = three_jobs(fleet.tenant, truck)
    await fleet.learn([envelope for job in jobs for envelope in job])

    seen, token = [], ""
    while True:
        asked: dict[str, Any] = {"name": truck, "page_size": 1, "page_token": token}
        page = (await fleet.ask("ListServiceHistory", **asked)).message
        seen += page.visits
        token = page.next_page_token
        if not token:
            break

    assert seen == told_by(jobs)


async def test_a_history_stays_with_its_tenant(fleet: "Fleet") -> None:
    truck = (await fleet.registered()).name
    await fleet.learn(three_jobs(fleet.tenant, truck)[0])

    query = "SELECT job FROM read.visit UNION ALL SELECT job FROM read.job"
    assert len(await rows(fleet.running.app, fleet.tenant, query)) == 3
    assert await rows(fleet.running.app, "another", query) == []


async def test_a_vehicle_that_was_never_in_has_no_history(fleet: "Fleet") -> None:
    assert await history_of(fleet, (await fleet.registered()).name) == []
