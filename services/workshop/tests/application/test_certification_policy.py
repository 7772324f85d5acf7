"""Whenever a certification turns out to have been revoked before work began, the job is flagged."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from eventstore.store import WrittenByANewerRelease
from services.workshop.tests.application.people import (
    ANNA,
    BERLIN,
    LONG_AGO,
    NOON,
    TENANT,
    UNTIL_READY,
    Person,
    Workshop,
    started,
)
from workshop.application.policies import Cause, Ourselves, worked_uncertified
from workshop.application.ports import Known
from workshop.domain.job import commands
from workshop.domain.job.facts import Certification, TechnicianFacts
from workshop.domain.job.state import Flag
from workshop.domain.values import JobId, TechnicianId

CAUSE = Cause(TENANT, "0190a5d2-7c1e-7b3a-9f00-00000000000e")
FLAG = Flag("CERTIFICATION_WAS_REVOKED", f"technicians/{ANNA}", NOON)
YESTERDAY, TOMORROW = NOON - timedelta(days=1), NOON + timedelta(days=1)


async def at_work(workshop: Workshop) -> JobId:
    job = workshop.new_job()
    await workshop.after(job, workshop.request(), *UNTIL_READY, started(workshop))
    workshop.facts.clocks = [job]
    return job


async def flags(workshop: Workshop, job: JobId) -> tuple[Flag, ...]:
    return (await workshop.reader.job(TENANT, job, Person())).value.flags


async def test_a_revocation_flags_jobs_begun_after_it_once(workshop: Workshop) -> None:
    job = await at_work(workshop)
    workshop.certify("BRAKES", revoked_at=YESTERDAY)

    await workshop.policy.revoked(ANNA, CAUSE)
    await workshop.policy.revoked(ANNA, CAUSE)

    assert await flags(workshop, job) == (FLAG,)


async def test_a_job_that_a_newer_release_wrote_to_is_refused_after_the_others_were_flagged(
    workshop: Workshop,
) -> None:
    newer, ours = workshop.new_job(), await at_work(workshop)
    workshop.store.append_unread(TENANT, UUID(newer), "workshop.SomethingNew", NOON)
    workshop.facts.clocks = [newer, ours]
    workshop.certify("BRAKES", revoked_at=YESTERDAY)

    with pytest.raises(WrittenByANewerRelease):
        await workshop.policy.revoked(ANNA, CAUSE)

    assert await flags(workshop, ours) == (FLAG,)


async def test_a_start_after_a_revocation_flags_its_job(workshop: Workshop) -> None:
    job = await at_work(workshop)
    workshop.certify("BRAKES", revoked_at=YESTERDAY)

    await workshop.policy.started(job, ANNA, CAUSE)

    assert await flags(workshop, job) == (FLAG,)


async def test_a_start_with_certifications_that_hold_flags_nothing(workshop: Workshop) -> None:
    job = await at_work(workshop)

    await workshop.policy.started(job, ANNA, CAUSE)
    await workshop.policy.revoked(ANNA, CAUSE)

    assert await flags(workshop, job) == ()


async def test_a_revocation_after_the_start_flags_nothing(workshop: Workshop) -> None:
    job = await at_work(workshop)
    workshop.certify("BRAKES", revoked_at=TOMORROW)

    await workshop.policy.revoked(ANNA, CAUSE)

    assert await flags(workshop, job) == ()


async def test_a_technician_or_job_nobody_knows_flags_nothing(workshop: Workshop) -> None:
    workshop.certify("BRAKES", revoked_at=YESTERDAY)
    workshop.facts.clocks = [workshop.new_job()]

    await workshop.policy.revoked(ANNA, CAUSE)
    await workshop.policy.revoked(TechnicianId("nobody"), CAUSE)

    stream = await workshop.store.read(TENANT, workshop.ids.new())
    assert stream.events == ()


async def test_another_certificate_for_the_same_is_good_enough(workshop: Workshop) -> None:
    job = await at_work(workshop)
    revoked = Certification("BRAKES", LONG_AGO, revoked_at=YESTERDAY)
    renewed = Certification("BRAKES", LONG_AGO)
    facts = TechnicianFacts(known=True, certifications=(revoked, renewed))
    workshop.facts.technicians[ANNA] = Known(facts, 7)

    await workshop.policy.revoked(ANNA, CAUSE)

    assert await flags(workshop, job) == ()


async def test_only_clocks_on_lines_that_need_it_count(workshop: Workshop) -> None:
    job = (await workshop.reader.job(TENANT, await at_work(workshop), Person())).value
    revoked = [Certification("BRAKES", LONG_AGO, revoked_at=YESTERDAY)]
    (clock,) = job.labour
    elsewhere = replace(job, labour=(replace(clock, line=2),))
    of_another = replace(job, labour=(replace(clock, technician=TechnicianId("bernd")),))

    assert worked_uncertified(job, ANNA, revoked)
    assert not worked_uncertified(elsewhere, ANNA, revoked)
    assert not worked_uncertified(of_another, ANNA, revoked)


async def test_a_policy_asks_nobody_for_leave(workshop: Workshop) -> None:
    job = await at_work(workshop)

    answer = await workshop.jobs.run(
        commands.FlagJob("LOOK_AT_IT", "vehicles/1", NOON), job, Ourselves(), workshop.metadata()
    )

    assert answer.version == 9
    assert BERLIN not in Ourselves().roles
