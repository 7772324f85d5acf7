"""One of each event ever released. An event may get more samples, but none is ever changed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from kernel.personal import Personal
from kernel.units import Distance, DistanceUnit
from workshop.domain import site, tenant
from workshop.domain.job import events
from workshop.domain.job.values import (
    HoldReason,
    JobSource,
    MeterKind,
    PartNeed,
    Priority,
    RepairReason,
)
from workshop.domain.values import (
    ApprovalLimit,
    BayId,
    DuplicateRule,
    JobId,
    OpeningHours,
    SiteId,
    TaxRates,
    TechnicianId,
    Timeslot,
    VehicleId,
    Weekday,
)

AT = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
LATER = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
JOB = JobId("0190a5d2-7c1e-7b3a-9f00-000000000001")
SITE = SiteId("0190a5d2-7c1e-7b3a-9f00-000000000002")
VEHICLE = VehicleId("0190a5d2-7c1e-7b3a-9f00-000000000003")
TECHNICIAN = TechnicianId("0190a5d2-7c1e-7b3a-9f00-000000000004")
BAY = BayId("0190a5d2-7c1e-7b3a-9f00-000000000005")
WORDS = Personal(f"jobs/{JOB}", "In their words: ä, €")
SLOT = Timeslot(AT, LATER)
METER = Distance(193_121_280, DistanceUnit.MILE)
PADS = PartNeed("BRK-PAD-221", 2000, 4450)
LABOUR = timedelta(minutes=90)

JOB_EVENTS: Mapping[type[events.JobEvent], Sequence[events.JobEvent]] = {
    events.JobRequested: [
        events.JobRequested("J-1042", SITE, VEHICLE, JobSource.DRIVER, "user-1", WORDS, "013", AT),
        events.JobRequested("J-1043", SITE, VEHICLE, JobSource.PM, "pm", None, "vehicle", AT),
    ],
    events.JobTriaged: [events.JobTriaged(Priority.EMERGENCY, RepairReason.BREAKDOWN)],
    events.JobRejected: [events.JobRejected(WORDS)],
    events.VehicleCheckedIn: [
        events.VehicleCheckedIn(
            METER,
            (events.ReturnedLine(1, JOB, 2, "013-001", LABOUR, (PADS,), 500, "BRAKES"),),
        ),
        events.VehicleCheckedIn(Distance(0), ()),
    ],
    events.DiagnosisRecorded: [
        events.DiagnosisRecorded(WORDS, WORDS, WORDS),
        events.DiagnosisRecorded(None, None, None),
    ],
    events.EstimateIssued: [
        events.EstimateIssued(
            2,
            "EUR",
            (
                events.EstimatedLine(
                    1, "013-001", WORDS, LABOUR, 14_250, (PADS,), 8_900, 500, "BRAKES"
                ),
                events.EstimatedLine(2, "017", None, timedelta(), 0, (), 0, 0, ""),
            ),
        )
    ],
    events.LinesApproved: [events.LinesApproved((1, 2), 1, automatic=True, limit_minor=-1)],
    events.LinesDeclined: [events.LinesDeclined((1,), 1)],
    events.LinesDeferred: [events.LinesDeferred((2,), 3)],
    events.PartsConfirmed: [events.PartsConfirmed((1, 2))],
    events.PartsShort: [events.PartsShort((1,), AT), events.PartsShort((1,), None)],
    events.TechnicianAssigned: [
        events.TechnicianAssigned(TECHNICIAN),
        events.TechnicianAssigned(None),
    ],
    events.CompletionPromised: [events.CompletionPromised(LATER)],
    events.BayBooked: [events.BayBooked(BAY, SLOT)],
    events.BayRescheduled: [events.BayRescheduled(BAY, SLOT)],
    events.BayReleased: [events.BayReleased()],
    events.WorkStarted: [events.WorkStarted(TECHNICIAN, BAY, 1, AT, LATER)],
    events.LabourStarted: [events.LabourStarted(2, TECHNICIAN, 1, AT)],
    events.LabourStopped: [events.LabourStopped(1, LATER)],
    events.LabourCorrected: [events.LabourCorrected(1, AT, LATER, WORDS, 2)],
    events.BayLeft: [events.BayLeft()],
    events.JobHeld: [
        events.JobHeld(HoldReason.OTHER, WORDS),
        events.JobHeld(HoldReason.PARTS, None),
    ],
    events.JobResumed: [events.JobResumed()],
    events.AdditionalWorkFound: [events.AdditionalWorkFound(3, "013-002", WORDS, "BRAKES")],
    events.LineCompleted: [events.LineCompleted(1)],
    events.WorkCompleted: [events.WorkCompleted(LATER)],
    events.QcPassed: [events.QcPassed("user-2")],
    events.QcFailed: [events.QcFailed("user-2", (1, 3), WORDS)],
    events.VehicleReleased: [events.VehicleReleased(METER)],
    events.JobInvoiced: [
        events.JobInvoiced(
            "BER-2026",
            42,
            "EUR",
            (events.InvoiceLine(1, 14_250, 8_900, 500, 190_000, 70_000, 0, 3_331),),
            LATER,
        )
    ],
    events.JobClosed: [events.JobClosed()],
    events.JobCancelled: [events.JobCancelled(WORDS)],
    events.JobReopened: [events.JobReopened(WORDS, METER, comeback=True, code="013-001")],
    events.JobFlagged: [
        events.JobFlagged("CERTIFICATION_WAS_REVOKED", f"technicians/{TECHNICIAN}", AT)
    ],
    events.MeterCorrected: [events.MeterCorrected(MeterKind.OUT, METER, AT, WORDS, 1, 2)],
}
SITE_EVENTS: Mapping[type[site.SiteEvent], Sequence[site.SiteEvent]] = {
    site.SiteOpened: [site.SiteOpened("Berlin North", "BER", "Europe/Berlin", "EUR")],
    site.SiteRenamed: [site.SiteRenamed("Berlin South")],
    site.TaxRatesSet: [site.TaxRatesSet(TaxRates(190_000, 70_000, 0))],
    site.LabourRateSet: [site.LabourRateSet(9_500)],
    site.OpeningHoursSet: [
        site.OpeningHoursSet((OpeningHours(Weekday.MONDAY, "07:00", "18:00"),)),
        site.OpeningHoursSet(()),
    ],
    site.BayAdded: [site.BayAdded(BAY, "Bay 1")],
    site.BayRetired: [site.BayRetired(BAY)],
}
TENANT_EVENTS: Mapping[type[tenant.TenantEvent], Sequence[tenant.TenantEvent]] = {
    tenant.ApprovalLimitsSet: [
        tenant.ApprovalLimitsSet(
            (ApprovalLimit("service_manager", 200_000), ApprovalLimit("fleet_manager", -1))
        ),
        tenant.ApprovalLimitsSet(
            (ApprovalLimit("service_manager", 30_000, "JPY"), ApprovalLimit("fleet_manager", -1))
        ),
    ],
    tenant.ApprovalThresholdSet: [
        tenant.ApprovalThresholdSet(10_000, currency=""),
        tenant.ApprovalThresholdSet(10_000, "JPY"),
    ],
    tenant.ReworkWindowSet: [tenant.ReworkWindowSet(timedelta(days=30))],
    tenant.DuplicateRuleSet: [tenant.DuplicateRuleSet(DuplicateRule.NONE)],
}
