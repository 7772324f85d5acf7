"""However often job events come, a workload is what their fold says."""

import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from assembly.selected import IRRELEVANT
from bayline.technician.v1 import technician_pb2
from bayline.workshop.v1 import events_pb2
from messaging.envelope import Envelope
from technician.adapters import codec
from technician.adapters.projections import workloads
from technician.application.queries import JobId, Workload
from technician.application.work import JobWork, evolve
from technician.domain.values import TechnicianId
from testkit.desk import new_id
from testkit.topics import MONDAY_8AM, WrittenLog

if TYPE_CHECKING:
    from services.technician.tests.adapters.conftest import Office

pytestmark = pytest.mark.integration


class Jobs:
    """Some jobs in one log, each after the next as chance will have it."""

    def __init__(self, tenant: str, chance: random.Random) -> None:
        self.tenant, self.chance = tenant, chance
        self.log = WrittenLog(codec.JOB_EVENTS.log)
        self.events: list[Envelope] = []
        self.minutes = 0

    def happen(self, job: str, **event: Any) -> None:
        data = events_pb2.JobEvent(**event).SerializeToString()
        self.events.append(self.log.append(UUID(job), data, tenant=self.tenant))

    def go_on(self, people: Sequence[str], jobs: int) -> None:
        """Steps of all jobs are mixed; each job has its own in order."""
        turns = [self.steps(new_id(), people) for _ in range(jobs)]
        while turns:
            steps = self.chance.choice(turns)
            if not steps:
                turns.remove(steps)
                continue
            job, event = steps.pop(0)
            self.happen(job, **event)

    def steps(self, job: str, people: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        """Assigned, worked on by two, put right, inspected twice, released, back: up to anywhere."""
        ada, bo = self.chance.sample(people, 2)
        times = [MONDAY_8AM + timedelta(minutes=self.later()) for _ in range(7)]
        story: list[dict[str, Any]] = [
            {"job_requested": events_pb2.JobRequested(number="J-1")},
            {"technician_assigned": events_pb2.TechnicianAssigned(technician=ada)},
            {"work_started": {"technician": ada, "labour": 1, "started_at": times[0]}},
            {"labour_started": {"technician": bo, "labour": 2, "started_at": times[1]}},
            {"labour_stopped": {"labour": 1, "stopped_at": times[2]}},
            {"labour_corrected": _corrected(1, times[1], times[2], revision=1)},
            {"labour_stopped": {"labour": 2, "stopped_at": times[3]}},
            {"work_completed": events_pb2.WorkCompleted()},
            {"qc_failed": events_pb2.QcFailed(lines=[1])},
            {"work_started": {"technician": bo, "labour": 3, "started_at": times[4]}},
            {"labour_stopped": {"labour": 3, "stopped_at": times[5]}},
            {"technician_assigned": events_pb2.TechnicianAssigned(technician=bo)},
            {"work_completed": events_pb2.WorkCompleted()},
            {"vehicle_released": events_pb2.VehicleReleased()},
            {"job_reopened": events_pb2.JobReopened()},
            {"labour_started": {"technician": ada, "labour": 4, "started_at": times[6]}},
        ]
        return [(job, event) for event in story[: self.chance.randint(1, len(story))]]

    def later(self) -> int:
        self.minutes += self.chance.randint(1, 30)
        return self.minutes


def _corrected(labour: int, start: Any, stop: Any, revision: int) -> events_pb2.LabourCorrected:
    return events_pb2.LabourCorrected(
        labour=labour, started_at=start, stopped_at=stop, revision=revision
    )


def told_by(technician: str, events: Iterable[Envelope]) -> technician_pb2.Workload:
    """The pure fold of all jobs, seen from one technician."""
    by_job: dict[str, list[Any]] = {}
    for envelope in events:
        event = codec.JOB_EVENTS.decode(envelope.data)
        by_job.setdefault(envelope.stream, []).extend([] if event is IRRELEVANT else [event])
    jobs = {job: reduce(evolve, told, JobWork()) for job, told in by_job.items()}
    me = TechnicianId(technician.removeprefix("technicians/"))
    mine = [(job, clock) for job, work in jobs.items() for clock in work.clocks]
    mine = [(job, clock) for job, clock in mine if clock.technician == me]
    since, running = max(
        ((clock.started_at, JobId(job)) for job, clock in mine if clock.stopped_at is None),
        default=(None, None),
    )
    ended = [clock.stopped_at - clock.started_at for _, clock in mine if clock.stopped_at]
    done = {job for job, _ in mine if jobs[job].completions > 0}
    assigned = sum(work.is_open and work.technician == me for work in jobs.values())
    return codec.workload(
        me, Workload(assigned, running, since, sum(ended, timedelta()), len(done))
    )


async def asked(office: "Office", technician: str) -> technician_pb2.Workload:
    found: technician_pb2.Workload = (await office.ask("GetWorkload", name=technician)).message
    return found


async def test_who_has_done_nothing_has_nothing_to_show(office: "Office") -> None:
    ada = await office.registered("T-1")

    assert await asked(office, ada.name) == told_by(ada.name, [])


async def test_a_day_of_work_is_summed_as_corrected(office: "Office") -> None:
    ada = (await office.registered("T-1")).name
    jobs, (brakes, tyres) = Jobs(office.tenant, random.Random()), (new_id(), new_id())
    eight, nine, ten, eleven = (MONDAY_8AM + timedelta(hours=hour) for hour in range(4))
    jobs.happen(brakes, work_started={"technician": ada, "labour": 1, "started_at": eight})
    jobs.happen(brakes, labour_stopped={"labour": 1, "stopped_at": eleven})
    jobs.happen(brakes, labour_corrected=_corrected(1, nine, ten, revision=1))
    jobs.happen(brakes, work_completed={})
    jobs.happen(tyres, technician_assigned={"technician": ada})
    jobs.happen(tyres, labour_started={"technician": ada, "labour": 1, "started_at": eleven})

    await office.learn(workloads(), jobs.events)

    expected = Workload(
        assigned_jobs=1,
        clocked_on=JobId(tyres),
        clocked_since=eleven,
        worked=timedelta(hours=1),
        completed_jobs=1,
    )
    me = TechnicianId(ada.removeprefix("technicians/"))
    assert await asked(office, ada) == codec.workload(me, expected)


@pytest.mark.parametrize("seed", range(4))
async def test_a_workload_is_the_fold_of_the_jobs_however_often_their_events_come(
    office: "Office", seed: int
) -> None:
    """In batches of any size, each of which may begin before the last one ended."""
    people = [(await office.registered(f"T-{number}")).name for number in range(4)]
    jobs = Jobs(office.tenant, random.Random(seed))
    jobs.go_on(people, jobs=12)

    done = 0
    while done < len(jobs.events):
        begin = max(0, done - jobs.chance.randint(0, 9))
        done = max(done, begin + jobs.chance.randint(1, 9))
        await office.learn(workloads(), jobs.events[begin:done])
        await office.learn(workloads(), jobs.events[begin:done])
    await office.learn(workloads(), [*jobs.events, *jobs.events])

    expected = {technician: told_by(technician, jobs.events) for technician in people}
    assert {technician: await asked(office, technician) for technician in people} == expected
    assert any(workload.worked.seconds for workload in expected.values())


async def test_work_stays_with_its_tenant(office: "Office") -> None:
    ada = (await office.registered("T-1")).name
    others = Jobs("another", random.Random())
    others.happen(new_id(), technician_assigned={"technician": ada})

    await office.learn(workloads(), others.events)

    assert (await asked(office, ada)).assigned_jobs == 0
