from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kernel.money import Money
from services.workshop.tests.domain.stories import (
    BAY_1,
    CLOSED,
    COMPLETED,
    EIGHT,
    ESTIMATED,
    IN_QUALITY_CHECK,
    INVOICE_LINES,
    INVOICED,
    MORNING,
    NEXT_INVOICE,
    NOON,
    RELEASED,
    given,
    job_after,
    km,
)
from workshop.domain.errors import JobStateForbids, MeterWentBackwards, NothingToInvoice
from workshop.domain.job.closing import invoice_series
from workshop.domain.job.commands import CloseJob, FlagJob, InvoiceJob, ReleaseVehicle
from workshop.domain.job.decider import decide
from workshop.domain.job.events import (
    BayBooked,
    JobClosed,
    JobFlagged,
    JobInvoiced,
    LinesDeclined,
    VehicleReleased,
)
from workshop.domain.job.state import Flag
from workshop.domain.job.values import JobState
from workshop.domain.values import TaxRates

DECLINED = (*ESTIMATED, LinesDeclined((1, 2), 1))
RELEASED_WITHOUT_WORK = (*DECLINED, VehicleReleased(km(120_000)))
INVOICE = JobInvoiced("BER-2026", 42, "EUR", INVOICE_LINES, NOON)


def test_a_completed_job_lets_the_vehicle_go() -> None:
    assert given(*COMPLETED).when(decide, ReleaseVehicle(km(120_001))) == [
        VehicleReleased(km(120_001))
    ]
    job = job_after(*RELEASED)
    assert (job.state, job.meter_out) == (JobState.RELEASED, km(120_001))


def test_a_vehicle_may_leave_with_the_meter_it_came_with() -> None:
    assert given(*COMPLETED).when(decide, ReleaseVehicle(km(120_000))) == [
        VehicleReleased(km(120_000))
    ]


def test_a_meter_does_not_go_backwards() -> None:
    with pytest.raises(MeterWentBackwards) as refusal:
        given(*COMPLETED).when(decide, ReleaseVehicle(km(119_999)))

    assert refusal.value.facts == {"earlier_metres": "120000000", "later_metres": "119999000"}


def test_a_declined_job_lets_the_vehicle_go_without_work_and_gives_the_booking_up() -> None:
    booked = (*DECLINED, BayBooked(BAY_1, MORNING))

    assert given(*booked).when(decide, ReleaseVehicle(km(120_000))) == [
        VehicleReleased(km(120_000))
    ]
    assert job_after(*booked, VehicleReleased(km(120_000))).booking is None


def test_a_vehicle_does_not_leave_before_the_quality_check() -> None:
    with pytest.raises(JobStateForbids):
        given(*IN_QUALITY_CHECK).when(decide, ReleaseVehicle(km(120_001)))


def test_an_invoice_charges_what_was_done_with_tax_per_line() -> None:
    assert given(*RELEASED).when(decide, InvoiceJob(NOON), NEXT_INVOICE) == [INVOICE]


def test_an_invoice_adds_up() -> None:
    job = job_after(*INVOICED)

    assert job.invoice is not None
    assert job.invoice.number == "BER-2026-000042"
    assert job.invoice.net == Money(28_400, "EUR")
    assert job.invoice.tax == Money(5_302, "EUR")
    assert job.invoice.gross == Money(33_702, "EUR")
    assert job_after(*RELEASED).invoice is None


def test_labour_parts_and_fees_are_rounded_half_up_each_for_itself() -> None:
    facts = replace(NEXT_INVOICE, tax_rates=TaxRates(100_002, 50_000, 1_000))

    (event,) = given(*RELEASED).when(decide, InvoiceJob(NOON), facts)

    assert isinstance(event, JobInvoiced)
    labour, parts, fees = 1_425, 445, 1
    assert event.lines[0].tax_minor == labour + parts + fees
    assert event.lines[0].fees_tax_ppm == 1_000


def test_a_job_without_work_has_nothing_to_invoice() -> None:
    with pytest.raises(NothingToInvoice):
        given(*RELEASED_WITHOUT_WORK).when(decide, InvoiceJob(NOON), NEXT_INVOICE)


def test_a_vehicle_leaves_before_it_is_invoiced() -> None:
    with pytest.raises(JobStateForbids):
        given(*COMPLETED).when(decide, InvoiceJob(NOON), NEXT_INVOICE)


@pytest.mark.parametrize(
    ("zone", "series"), [("Europe/Berlin", "BER-2027"), ("America/New_York", "BER-2026")]
)
def test_a_series_belongs_to_a_year_of_the_sites_own_calendar(zone: str, series: str) -> None:
    new_years_eve = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)

    assert invoice_series("BER", zone, new_years_eve) == series


def test_an_invoiced_job_is_closed() -> None:
    assert given(*INVOICED).when(decide, CloseJob()) == [JobClosed()]
    assert job_after(*CLOSED).state is JobState.CLOSED


def test_a_job_with_nothing_to_invoice_is_closed_without_an_invoice() -> None:
    assert given(*RELEASED_WITHOUT_WORK).when(decide, CloseJob()) == [JobClosed()]


def test_work_that_was_done_is_invoiced_before_the_job_is_closed() -> None:
    with pytest.raises(JobStateForbids):
        given(*RELEASED).when(decide, CloseJob())


def test_a_job_is_flagged_once_for_the_same_thing() -> None:
    revoked = FlagJob("CERTIFICATION_WAS_REVOKED", "technicians/anna", EIGHT)
    flagged = JobFlagged("CERTIFICATION_WAS_REVOKED", "technicians/anna", EIGHT)

    assert given(*CLOSED).when(decide, revoked) == [flagged]
    assert given(*CLOSED, flagged).when(decide, revoked) == []
    assert job_after(*CLOSED, flagged).flags == (
        Flag("CERTIFICATION_WAS_REVOKED", "technicians/anna", EIGHT),
    )
