"""A truck that comes in with grinding brakes, told so far as each test needs it."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from kernel.personal import Personal
from kernel.units import Distance
from testkit.given import Given
from workshop.domain.job.commands import LineEstimate
from workshop.domain.job.events import (
    BayBooked,
    DiagnosisRecorded,
    EstimatedLine,
    EstimateIssued,
    InvoiceLine,
    JobClosed,
    JobEvent,
    JobInvoiced,
    JobRequested,
    JobTriaged,
    LabourStopped,
    LineCompleted,
    LinesApproved,
    PartsConfirmed,
    QcPassed,
    VehicleCheckedIn,
    VehicleReleased,
    WorkCompleted,
    WorkStarted,
)
from workshop.domain.job.evolve import AnyJob, evolve
from workshop.domain.job.facts import (
    ApprovalFacts,
    Certification,
    EstimateFacts,
    InvoiceFacts,
    SiteFacts,
    StartFacts,
    TechnicianFacts,
)
from workshop.domain.job.state import Job, NoJob
from workshop.domain.job.values import JobSource, PartNeed, Priority, RepairReason
from workshop.domain.values import (
    Bay,
    BayId,
    JobId,
    OpeningHours,
    SiteId,
    TaxRates,
    TechnicianId,
    Timeslot,
    VehicleId,
    Weekday,
)

Story: TypeAlias = tuple[JobEvent, ...]

given: Given[AnyJob, JobEvent] = Given(evolve, NoJob())

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
SEVEN, EIGHT, NINE, TEN, ELEVEN, NOON = (MONDAY + hour * HOUR for hour in (7, 8, 9, 10, 11, 12))

JOB_ID = JobId("0190a5d2-7c1e-7b3a-9f00-000000001042")
EARLIER_JOB = JobId("0190a5d2-7c1e-7b3a-9f00-000000000900")
BERLIN = SiteId("berlin")
TRUCK = VehicleId("truck")
ANNA, BERND = TechnicianId("anna"), TechnicianId("bernd")
BAY_1, BAY_2, OLD_BAY = BayId("bay-1"), BayId("bay-2"), BayId("old-bay")
INSPECTOR = "inspector@berlin"
MORNING = Timeslot(NINE, NOON)


def said(text: str) -> Personal:
    return Personal(f"jobs/{JOB_ID}", text)


def km(kilometres: int) -> Distance:
    return Distance(kilometres * 1000)


PADS = PartNeed("BRK-PAD-221", quantity_milli=2000, unit_price_minor=4450)
BRAKES = EstimatedLine(
    line=1,
    code="013-001-015",
    description=said("Replace front brake pads"),
    labour=timedelta(minutes=90),
    labour_minor=14_250,
    parts=(PADS,),
    parts_minor=8_900,
    fees_minor=500,
    certification="BRAKES",
)
WIPERS = EstimatedLine(
    line=2,
    code="002-003",
    description=said("Replace wiper blades"),
    labour=timedelta(minutes=30),
    labour_minor=4_750,
    parts=(),
    parts_minor=0,
    fees_minor=0,
    certification="",
)
BRAKES_NET, WIPERS_NET = 23_650, 4_750


def as_asked(line: EstimatedLine, number: int = 0) -> LineEstimate:
    """The estimate of a line before it has a price and, if it is new, a number."""
    assert line.description is not None
    return LineEstimate(
        number,
        line.code,
        line.description,
        line.labour,
        line.parts,
        line.fees_minor,
        line.certification,
    )


WORKDAY = tuple(OpeningHours(day, "07:00", "18:00") for day in tuple(Weekday)[:5])
SITE = SiteFacts(
    bays=(Bay(BAY_1, "Bay 1"), Bay(BAY_2, "Bay 2"), Bay(OLD_BAY, "Old bay", retired=True)),
    hours=WORKDAY,
    zone="Europe/Berlin",
)
CERTIFIED = TechnicianFacts(
    known=True, certifications=(Certification("BRAKES", valid_from=MONDAY - 365 * 24 * HOUR),)
)
UNCERTIFIED = TechnicianFacts(known=True)
NOBODY = TechnicianFacts(known=False)
GONE = TechnicianFacts(known=True, active=False)
START = StartFacts(CERTIFIED, SITE)
PRICES = EstimateFacts(labour_rate_minor=9_500, currency="EUR", threshold_minor=0)
MANAGER = ApprovalFacts(limit_minor=200_000)
TAX = TaxRates(labour_ppm=190_000, parts_ppm=190_000, fees_ppm=0)
NEXT_INVOICE = InvoiceFacts("BER-2026", 42, "EUR", TAX)

REQUESTED: Story = (
    JobRequested(
        number="J-1042",
        site=BERLIN,
        vehicle=TRUCK,
        source=JobSource.DRIVER,
        requester="driver@berlin",
        complaint=said("Brakes grind when cold"),
        duplicate_key="013",
        requested_at=SEVEN,
    ),
)
PLANNED: Story = (*REQUESTED, JobTriaged(Priority.NON_SCHEDULED, RepairReason.DRIVER_REPORT))
CHECKED_IN: Story = (*PLANNED, VehicleCheckedIn(km(120_000), ()))
DIAGNOSED: Story = (*CHECKED_IN, DiagnosisRecorded(None, said("Pads worn"), None))
ESTIMATED: Story = (*DIAGNOSED, EstimateIssued(1, "EUR", (BRAKES, WIPERS)))
APPROVED: Story = (*ESTIMATED, LinesApproved((1, 2), 1, automatic=False, limit_minor=200_000))
READY: Story = (*APPROVED, PartsConfirmed((1,)))
BOOKED: Story = (*READY, BayBooked(BAY_1, MORNING))
WORKING: Story = (*BOOKED, WorkStarted(ANNA, BAY_1, 1, NINE, NOON))
FINISHED: Story = (
    *WORKING,
    LineCompleted(1),
    LineCompleted(2),
    LabourStopped(1, ELEVEN),
    DiagnosisRecorded(None, None, said("Replaced pads and blades")),
)
IN_QUALITY_CHECK: Story = (*FINISHED, WorkCompleted(ELEVEN))
COMPLETED: Story = (*IN_QUALITY_CHECK, QcPassed(INSPECTOR))
RELEASED: Story = (*COMPLETED, VehicleReleased(km(120_001)))
INVOICE_LINES = (
    InvoiceLine(1, 14_250, 8_900, 500, 190_000, 190_000, 0, 2_708 + 1_691),
    InvoiceLine(2, 4_750, 0, 0, 190_000, 190_000, 0, 903),
)
INVOICED: Story = (*RELEASED, JobInvoiced("BER-2026", 42, "EUR", INVOICE_LINES, NOON))
CLOSED: Story = (*INVOICED, JobClosed())


def job_after(*events: JobEvent) -> Job:
    state = given(*events).state
    assert isinstance(state, Job)
    return state
