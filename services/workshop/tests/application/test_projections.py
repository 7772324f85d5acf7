"""What is remembered of vehicles, technicians and jobs."""

from datetime import timedelta

from kernel.units import Distance
from services.workshop.tests.application.people import (
    ANNA,
    BERLIN,
    CHECKED_IN,
    DIAGNOSED,
    ESTIMATED,
    LONG_AGO,
    NOON,
    TRIAGED,
    TRUCK,
    UNTIL_READY,
    Workshop,
    started,
)
from workshop.application.facts import (
    NEW_TECHNICIAN,
    UNKNOWN_TECHNICIAN,
    UNKNOWN_VEHICLE,
    CertificationGranted,
    CertificationRevoked,
    KnownVehicle,
    PlateChanged,
    TechnicianLeft,
    TechnicianRegistered,
    VehicleRegistered,
    VehicleSold,
    learn_of_technician,
    learn_of_vehicle,
)
from workshop.application.projections import (
    ClockRow,
    DeferredLineRow,
    JobRow,
    ReturnedLineRow,
    job_view,
)
from workshop.domain.job import commands
from workshop.domain.job.facts import Certification, TechnicianFacts


def test_a_vehicle_is_known_by_its_last_plate_until_it_is_sold() -> None:
    vehicle = learn_of_vehicle(UNKNOWN_VEHICLE, VehicleRegistered("VIN", "B-AY 1"))
    vehicle = learn_of_vehicle(vehicle, PlateChanged("B-AY 2"))

    assert vehicle == KnownVehicle("VIN", "B-AY 2")
    assert learn_of_vehicle(vehicle, VehicleSold()) == KnownVehicle("VIN", "B-AY 2", sold=True)


def test_a_trailer_without_vin_and_plate_is_known_once_it_is_registered() -> None:
    assert learn_of_vehicle(UNKNOWN_VEHICLE, VehicleRegistered("", "")) != UNKNOWN_VEHICLE


def test_of_what_nobody_heard_that_it_was_registered_nothing_is_known() -> None:
    assert learn_of_vehicle(UNKNOWN_VEHICLE, PlateChanged("B-AY 2")) == UNKNOWN_VEHICLE


def test_a_revocation_ends_what_would_have_lasted_longer() -> None:
    granted = CertificationGranted("BRAKES", LONG_AGO, None)
    expired = CertificationGranted("BRAKES", LONG_AGO, LONG_AGO + timedelta(days=1))
    other = CertificationGranted("TYRES", LONG_AGO, None)
    technician = NEW_TECHNICIAN
    for event in (TechnicianRegistered(), granted, expired, other):
        technician = learn_of_technician(technician, event)

    technician = learn_of_technician(technician, CertificationRevoked("BRAKES", NOON))
    technician = learn_of_technician(technician, TechnicianLeft())

    assert technician == TechnicianFacts(
        known=True,
        active=False,
        certifications=(
            Certification("BRAKES", LONG_AGO, None, revoked_at=NOON),
            Certification("BRAKES", LONG_AGO, LONG_AGO + timedelta(days=1)),
            Certification("TYRES", LONG_AGO),
        ),
    )


def test_of_whom_nobody_heard_that_they_were_registered_nothing_is_known() -> None:
    granted = CertificationGranted("BRAKES", LONG_AGO, None)

    assert learn_of_technician(UNKNOWN_TECHNICIAN, granted) == UNKNOWN_TECHNICIAN
    assert learn_of_technician(UNKNOWN_TECHNICIAN, TechnicianRegistered()) == NEW_TECHNICIAN


async def test_a_row_is_a_view_of_the_job(workshop: Workshop) -> None:
    job = await workshop.after(workshop.new_job(), workshop.request())
    at_work = await workshop.after(
        workshop.new_job(), workshop.request(), *UNTIL_READY, started(workshop)
    )

    view = job_view(job, NOON)
    busy = job_view(at_work, NOON)

    assert view.row == JobRow(
        number="J-1042",
        state="REQUESTED",
        site=BERLIN,
        vehicle=TRUCK,
        priority=None,
        technician=None,
        requester="driver",
        promised_at=None,
        requested_at=NOON,
        changed_at=NOON,
        booked_bay=None,
        booked_from=None,
        booked_until=None,
        occupied_bay=None,
    )
    assert (view.deferred, view.returned, view.clocks) == ((), (), ())
    assert busy.clocks == (ClockRow(1, ANNA, NOON),)
    assert (busy.row.booked_bay, busy.row.occupied_bay) == (workshop.bay, workshop.bay)
    assert (busy.row.booked_from, busy.row.booked_until) == (NOON, NOON + timedelta(hours=2))


async def test_a_deferred_line_is_held_by_the_job_that_took_it_back(workshop: Workshop) -> None:
    first, second = workshop.new_job(), workshop.new_job()
    put_off = await workshop.after(
        first,
        workshop.request(),
        TRIAGED,
        CHECKED_IN,
        DIAGNOSED,
        ESTIMATED,
        commands.DeferLines(1, (1,)),
        commands.ReleaseVehicle(Distance(120_000_000)),
    )
    workshop.facts.deferred = [(first, 1)]
    taken = await workshop.after(second, workshop.request(), TRIAGED, CHECKED_IN)

    assert job_view(put_off, NOON).deferred == (DeferredLineRow(1, TRUCK),)
    assert job_view(taken, NOON).returned == (ReturnedLineRow(first, 1),)
