"""Each command is decided on the facts it needs, and on no others."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from kernel.units import Distance
from services.workshop.tests.application.people import (
    ANNA,
    APPROVED,
    BERLIN,
    CHECKED_IN,
    DIAGNOSED,
    ESTIMATED,
    PADS,
    STRANGER,
    TENANT,
    TRIAGED,
    TRUCK,
    UNTIL_READY,
    NotAllowed,
    Person,
    Workshop,
    said,
    started,
    until_released,
)
from workshop.application.facts import KnownVehicle
from workshop.application.job_facts import highest_limit
from workshop.application.ports import Known
from workshop.application.reading import found_job
from workshop.domain.errors import (
    ApprovalLimitExceeded,
    FactsNotYetKnown,
    JobNotFound,
    SiteNotFound,
    TechnicianNotCertified,
    TechnicianNotFound,
    VehicleNotFound,
)
from workshop.domain.job import commands
from workshop.domain.job.values import JobState, LineState, PartNeed
from workshop.domain.site import OpenSite
from workshop.domain.tenant import SetApprovalLimits, SetReworkWindow
from workshop.domain.values import (
    ApprovalLimit,
    SiteId,
    TaxRates,
    TechnicianId,
    Timeslot,
    VehicleId,
)

NOWHERE = SiteId("00000000-0000-7000-8000-0000000000ff")
NO_TRUCK = VehicleId("00000000-0000-7000-8000-0000000000ff")
NOBODY = TechnicianId("00000000-0000-7000-8000-0000000000ff")


async def test_a_job_gets_the_next_readable_number(workshop: Workshop) -> None:
    job = workshop.new_job()

    requested = await workshop.after(job, workshop.request())

    assert (requested.number, requested.state) == ("J-1042", JobState.REQUESTED)
    assert await workshop.fact_versions(job) == {
        f"sites/{BERLIN}": 6,
        "settings": 0,
        f"vehicles/{TRUCK}": 3,
    }


async def test_a_vehicle_that_arrives_while_one_waits_is_known(workshop: Workshop) -> None:
    workshop.facts.late[2] = NO_TRUCK, Known(KnownVehicle("VIN", "B-AY 2"), 1)

    requested = await workshop.after(workshop.new_job(), workshop.request(NO_TRUCK))

    assert requested.vehicle == NO_TRUCK


async def test_an_unknown_vehicle_is_not_found_once_all_is_known(workshop: Workshop) -> None:
    with pytest.raises(VehicleNotFound):
        await workshop.run(workshop.request(NO_TRUCK), workshop.new_job())


async def test_an_unknown_vehicle_may_be_on_its_way(workshop: Workshop) -> None:
    workshop.arrivals.all_here = False

    with pytest.raises(FactsNotYetKnown):
        await workshop.run(workshop.request(NO_TRUCK), workshop.new_job())


async def test_a_sold_vehicle_gets_no_job(workshop: Workshop) -> None:
    workshop.facts.vehicles[TRUCK] = Known(KnownVehicle("VIN", "B-AY 1", sold=True), 4)

    with pytest.raises(VehicleNotFound):
        await workshop.run(workshop.request(), workshop.new_job())


async def test_a_job_is_requested_at_a_site_that_is_there(workshop: Workshop) -> None:
    with pytest.raises(SiteNotFound):
        await workshop.run(
            workshop.request(site=NOWHERE), workshop.new_job(), Person(sites=(NOWHERE,))
        )


async def test_an_invoice_is_of_a_site_that_is_there(workshop: Workshop) -> None:
    job = workshop.new_job()
    of_nowhere = replace(await workshop.after(job, workshop.request()), site=NOWHERE)

    with pytest.raises(SiteNotFound):
        await workshop.jobs.facts.read(
            commands.InvoiceJob(workshop.clock.now()), job, (), TENANT, of_nowhere
        )


async def test_nobody_changes_a_job_that_is_not_there(workshop: Workshop) -> None:
    with pytest.raises(JobNotFound):
        await workshop.run(TRIAGED, workshop.new_job())


async def test_nobody_changes_a_job_of_a_site_that_is_not_his_or_hers(workshop: Workshop) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request())

    with pytest.raises(NotAllowed):
        await workshop.run(TRIAGED, job, STRANGER)
    with pytest.raises(NotAllowed):
        await workshop.run(workshop.request(), workshop.new_job(), STRANGER)


async def test_a_command_about_a_technician_asks_for_leave_with_that_technician(
    workshop: Workshop,
) -> None:
    job, person = workshop.new_job(), Person()
    await workshop.after(job, workshop.request(), *UNTIL_READY)

    await workshop.run(started(workshop), job, person)
    await workshop.run(commands.CompleteLine(1), job, person)

    assert person.required == [(BERLIN, ANNA, "driver")] * 2


async def test_a_key_used_before_answers_as_it_did_and_draws_no_number(
    workshop: Workshop,
) -> None:
    first = await workshop.run(workshop.request(), workshop.new_job(), key="the same key")
    again = await workshop.run(workshop.request(), workshop.new_job(), key="the same key")

    assert (again.stream_id, again.state, again.replayed) == (first.stream_id, first.state, True)
    assert workshop.facts.last_number == 1042


async def test_an_estimate_uses_the_labour_rate_of_the_site(workshop: Workshop) -> None:
    job = workshop.new_job()

    estimated = await workshop.after(
        job, workshop.request(), TRIAGED, CHECKED_IN, DIAGNOSED, ESTIMATED
    )

    assert estimated.estimate is not None
    assert (estimated.estimate.minor, estimated.estimate.currency) == (14_250, "EUR")
    assert await workshop.fact_versions(job) == {f"sites/{BERLIN}": 6, "settings": 0}


async def test_an_approver_has_the_greatest_limit_of_his_or_her_roles(workshop: Workshop) -> None:
    job = workshop.new_job()
    limits = SetApprovalLimits(
        (
            ApprovalLimit("parts_clerk", 100, "EUR"),
            ApprovalLimit("service_manager", 20_000, "EUR"),
            ApprovalLimit("parts_clerk", 20_000, "JPY"),
        )
    )
    await workshop.settings.run(limits, Person(), workshop.metadata())
    await workshop.after(job, workshop.request(), TRIAGED, CHECKED_IN, DIAGNOSED, ESTIMATED)

    with pytest.raises(ApprovalLimitExceeded):
        await workshop.run(APPROVED, job, Person(roles=("parts_clerk",)))
    answer = await workshop.run(APPROVED, job, Person(roles=("parts_clerk", "service_manager")))

    assert found_job(answer.state).state is JobState.READY
    assert await workshop.fact_versions(job) == {"settings": 1}


def test_no_limit_is_above_all_limits() -> None:
    limits = (
        ApprovalLimit("a", 100, "EUR"),
        ApprovalLimit("b", -1),
        ApprovalLimit("c", 200, "EUR"),
        ApprovalLimit("d", -1, "EUR"),
    )

    assert highest_limit(limits, {"a", "c"}, "EUR") == 200
    assert highest_limit(limits, {"a", "b"}, "EUR") == -1
    assert highest_limit(limits, {"a", "d"}, "EUR") == -1
    assert highest_limit(limits, {"e"}, "EUR") is None


def test_a_limit_counts_in_its_currency() -> None:
    limits = (
        ApprovalLimit("a", 200_000, "EUR"),
        ApprovalLimit("b", -1, "EUR"),
        ApprovalLimit("c", -1),
    )

    assert highest_limit(limits, {"a", "b"}, "JPY") is None
    assert highest_limit(limits, {"a", "c"}, "JPY") == -1


@pytest.mark.parametrize("currency", ["EUR", ""])
def test_an_amount_that_was_set_without_a_currency_approves_nothing(currency: str) -> None:
    assert highest_limit((ApprovalLimit("a", 200_000),), {"a"}, currency) is None


async def test_a_technician_is_assigned_and_taken_off_again(workshop: Workshop) -> None:
    job, now = workshop.new_job(), workshop.clock.now()
    await workshop.after(job, workshop.request(), TRIAGED)

    assigned = await workshop.after(job, commands.AssignTechnician(ANNA, now))
    versions = await workshop.fact_versions(job)
    open_again = await workshop.after(job, commands.AssignTechnician(None, now))

    assert (assigned.technician, open_again.technician) == (ANNA, None)
    assert versions == {f"technicians/{ANNA}": 5}


async def test_an_unknown_technician_is_not_found(workshop: Workshop) -> None:
    job, now = workshop.new_job(), workshop.clock.now()
    await workshop.after(job, workshop.request(), TRIAGED)

    with pytest.raises(TechnicianNotFound):
        await workshop.run(commands.AssignTechnician(NOBODY, now), job)


async def test_work_starts_with_a_certified_technician_in_a_bay_of_the_site(
    workshop: Workshop,
) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request(), *UNTIL_READY)

    at_work = await workshop.after(job, started(workshop))

    assert (at_work.bay, at_work.technician) == (workshop.bay, ANNA)
    assert await workshop.fact_versions(job) == {f"sites/{BERLIN}": 6, f"technicians/{ANNA}": 5}


async def test_an_uncertified_technician_does_not_start(workshop: Workshop) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request(), *UNTIL_READY)
    workshop.certify("TYRES")

    with pytest.raises(TechnicianNotCertified):
        await workshop.run(started(workshop), job)


async def test_a_bay_is_booked_and_the_booking_moved(workshop: Workshop) -> None:
    job, now = workshop.new_job(), workshop.clock.now()
    slot = Timeslot(now + timedelta(hours=1), now + timedelta(hours=2))
    later = Timeslot(slot.end, slot.end + timedelta(hours=1))
    await workshop.after(job, workshop.request(), TRIAGED)

    booked = await workshop.after(job, commands.BookBay(workshop.bay, slot))
    moved = await workshop.after(job, commands.RescheduleBay(workshop.bay, later))

    assert booked.booking is not None
    assert moved.booking is not None
    assert (booked.booking.slot, moved.booking.slot) == (slot, later)


async def test_an_invoice_takes_the_next_number_of_the_sites_local_year(
    workshop: Workshop,
) -> None:
    jobs = [workshop.new_job() for _ in range(3)]
    for job in jobs:
        await workshop.after(job, workshop.request(), *until_released(workshop))

    invoiced = await asyncio.gather(
        *(workshop.after(job, commands.InvoiceJob(workshop.clock.now())) for job in jobs)
    )

    numbers = sorted(job.invoice.number for job in invoiced if job.invoice)
    assert numbers == ["BER-2027-000001", "BER-2027-000002", "BER-2027-000003"]


async def test_a_job_comes_back_within_the_rework_window(workshop: Workshop) -> None:
    job, now = workshop.new_job(), workshop.clock.now()
    await workshop.settings.run(SetReworkWindow(timedelta(days=1)), Person(), workshop.metadata())
    await workshop.after(job, workshop.request(), *until_released(workshop))

    back = await workshop.after(
        job, commands.ReopenJob(said("Grinds"), Distance(120_000_000), "013-001", now)
    )

    assert (back.visit, back.comeback) == (2, True)


async def test_lines_an_earlier_job_deferred_come_back(workshop: Workshop) -> None:
    earlier, later = workshop.new_job(), workshop.new_job()
    await workshop.after(
        earlier,
        workshop.request(),
        TRIAGED,
        CHECKED_IN,
        DIAGNOSED,
        ESTIMATED,
        commands.DeferLines(1, (1,)),
        commands.ReleaseVehicle(Distance(120_000_000)),
    )
    workshop.facts.deferred = [(earlier, 1), (earlier, 2), (later, 1), (workshop.new_job(), 1)]

    arrived = await workshop.after(later, workshop.request(), TRIAGED, CHECKED_IN)

    assert [(line.state, line.from_job, line.from_line) for line in arrived.lines] == [
        (LineState.PROPOSED, earlier, 1)
    ]
    versions = await workshop.fact_versions(later)
    assert versions[f"jobs/{earlier}"] == 7


async def test_a_line_deferred_in_another_currency_comes_back_without_its_amounts(
    workshop: Workshop,
) -> None:
    tokyo = SiteId(workshop.new_job())
    opened = OpenSite("Tokyo", "TYO", "Asia/Tokyo", "JPY", 9500, TaxRates(0, 0, 0), (), ())
    await workshop.sites.run(opened, tokyo, Person(), workshop.metadata())
    everywhere = Person(sites=("", BERLIN, tokyo))
    earlier, later = workshop.new_job(), workshop.new_job()
    pads = replace(PADS, parts=(PartNeed("BRK", 2000, 4450),), fees_minor=500)
    await workshop.after(
        earlier,
        workshop.request(),
        TRIAGED,
        CHECKED_IN,
        DIAGNOSED,
        commands.IssueEstimate((pads,)),
        commands.DeferLines(1, (1,)),
        commands.ReleaseVehicle(Distance(120_000_000)),
    )
    workshop.facts.deferred = [(earlier, 1)]

    for command in (workshop.request(site=tokyo), TRIAGED):
        await workshop.run(command, later, everywhere)
    arrived = found_job((await workshop.run(CHECKED_IN, later, everywhere)).state)

    assert arrived.lines[0].parts == (PartNeed("BRK", 2000, 0),)
    assert arrived.lines[0].net_minor == 0
