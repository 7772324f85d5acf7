"""What happened to a job, in words for people. What persons said must be revealed before."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import assert_never

from kernel.personal import ERASED, Personal
from kernel.units import METRES, Distance, DistanceUnit
from workshop.domain.currencies import in_words
from workshop.domain.job.events import (
    AdditionalWorkFound,
    BayBooked,
    BayLeft,
    BayReleased,
    BayRescheduled,
    ClosingEvent,
    CompletionPromised,
    Correction,
    DiagnosisRecorded,
    EstimateEvent,
    EstimateIssued,
    IntakeEvent,
    JobCancelled,
    JobClosed,
    JobEvent,
    JobFlagged,
    JobHeld,
    JobInvoiced,
    JobRejected,
    JobReopened,
    JobRequested,
    JobResumed,
    JobTriaged,
    LabourCorrected,
    LabourEvent,
    LabourStarted,
    LabourStopped,
    LineCompleted,
    LinesApproved,
    LinesDeclined,
    LinesDeferred,
    PartsConfirmed,
    PartsShort,
    PlanningEvent,
    QcFailed,
    QcPassed,
    TechnicianAssigned,
    VehicleCheckedIn,
    VehicleReleased,
    WorkCompleted,
    WorkEvent,
    WorkStarted,
)
from workshop.domain.job.state import Invoice
from workshop.domain.values import Timeslot

UNITS = {DistanceUnit.KILOMETRE: "km", DistanceUnit.MILE: "mi"}


def describe(event: JobEvent) -> str:  # noqa: PLR0911 -- one for each phase
    if isinstance(event, IntakeEvent):
        return _intake(event)
    if isinstance(event, EstimateEvent):
        return _estimate(event)
    if isinstance(event, PlanningEvent):
        return _planning(event)
    if isinstance(event, LabourEvent):
        return _labour(event)
    if isinstance(event, WorkEvent):
        return _work(event)
    if isinstance(event, ClosingEvent):
        return _closing(event)
    return _correction(event)


def _intake(event: IntakeEvent) -> str:
    match event:
        case JobRequested(number, source=source, complaint=complaint):
            return _with(f"Requested as {number} ({_lower(source)})", complaint)
        case JobTriaged(priority, reason):
            return f"Planned: {_lower(priority)}, {_lower(reason)}"
        case JobRejected(note):
            return _with("Rejected", note)
        case VehicleCheckedIn(meter, returned):
            lines = f"; {_lines(each.line for each in returned)} came back" if returned else ""
            return f"Checked in at {_distance(meter)}{lines}"
        case DiagnosisRecorded(complaint, cause, correction):
            said = {"complaint": complaint, "cause": cause, "correction": correction}
            new = (f"{name}: {_said(words)}" for name, words in said.items() if words)
            return "; ".join(("Diagnosis", *new))
        case _:
            assert_never(event)


def _estimate(event: EstimateEvent) -> str:
    match event:
        case EstimateIssued(version, currency, lines):
            net = sum(line.labour_minor + line.parts_minor + line.fees_minor for line in lines)
            return f"Estimate {version}: {_count(lines)}, {in_words(net, currency)} before tax"
        case LinesApproved(lines, version, automatic):
            by = ", below the threshold" if automatic else ""
            return f"Approved {_lines(lines)} of estimate {version}{by}"
        case LinesDeclined(lines, version):
            return f"Declined {_lines(lines)} of estimate {version}"
        case LinesDeferred(lines, version):
            return f"Put off {_lines(lines)} of estimate {version}"
        case PartsConfirmed(lines):
            return f"Parts of {_lines(lines)} are there"
        case PartsShort(lines, expected_at):
            expected = f", expected {_time(expected_at)}" if expected_at else ""
            return f"Parts of {_lines(lines)} are missing{expected}"
        case _:
            assert_never(event)


def _planning(event: PlanningEvent) -> str:
    match event:
        case TechnicianAssigned(technician):
            return f"Assigned to technicians/{technician}" if technician else "Assigned to nobody"
        case CompletionPromised(promised_at):
            return f"Promised for {_time(promised_at)}"
        case BayBooked(bay, slot):
            return f"Booked bays/{bay} {_slot(slot)}"
        case BayRescheduled(bay, slot):
            return f"Moved the booking to bays/{bay} {_slot(slot)}"
        case BayReleased():
            return "Gave the booking up"
        case BayLeft():
            return "Left the bay"
        case _:
            assert_never(event)


def _labour(event: LabourEvent) -> str:
    match event:
        case WorkStarted(technician, bay, labour, started_at):
            return (
                f"Work started in bays/{bay}; clock {labour} of technicians/{technician} "
                f"runs from {_time(started_at)}"
            )
        case LabourStarted(labour, technician, line, started_at):
            what = f" on line {line}" if line else ""
            return (
                f"Clock {labour} of technicians/{technician} started{what} at {_time(started_at)}"
            )
        case LabourStopped(labour, stopped_at):
            return f"Clock {labour} stopped at {_time(stopped_at)}"
        case _:
            assert_never(event)


def _work(event: WorkEvent) -> str:  # noqa: PLR0911 -- one for each event
    match event:
        case JobHeld(reason, note):
            return _with(f"On hold ({_lower(reason)})", note)
        case JobResumed():
            return "Resumed"
        case AdditionalWorkFound(line, code, description):
            return _with(f"Found line {line} ({code})", description)
        case LineCompleted(line):
            return f"Line {line} is done"
        case WorkCompleted(completed_at):
            return f"Work completed at {_time(completed_at)}"
        case QcPassed():
            return "Passed the quality check"
        case QcFailed(_, lines, note):
            return _with(f"Failed the quality check: {_lines(lines)} to be done again", note)
        case _:
            assert_never(event)


def _closing(event: ClosingEvent) -> str:
    match event:
        case VehicleReleased(meter):
            return f"Released at {_distance(meter)}"
        case JobInvoiced(series, sequence, currency, lines, invoiced_at):
            invoice = Invoice(series, sequence, currency, lines, invoiced_at)
            return f"Invoice {invoice.number}: {in_words(invoice.gross.minor, currency)} with tax"
        case JobClosed():
            return "Closed"
        case JobCancelled(note):
            return _with("Cancelled", note)
        case JobReopened(note, meter, comeback):
            what = "Reopened as a comeback" if comeback else "Reopened"
            return _with(f"{what} at {_distance(meter)}", note)
        case JobFlagged(reason, about):
            return f"To be looked at: {_lower(reason)}, {about}"
        case _:
            assert_never(event)


def _correction(event: Correction) -> str:
    if isinstance(event, LabourCorrected):
        clock = f"Clock {event.labour} corrected"
        return _with(
            f"{clock}: {_slot(Timeslot(event.started_at, event.stopped_at))}", event.reason
        )
    return _with(f"Meter {_lower(event.kind)} corrected to {_distance(event.meter)}", event.reason)


def _with(fact: str, words: Personal | None) -> str:
    return f"{fact}: {_said(words)}" if words else fact


def _said(words: Personal) -> str:
    return ERASED if words.text is None else words.text


def _lower(value: str) -> str:
    return value.lower().replace("_", " ")


def _lines(lines: Iterable[int]) -> str:
    numbers = [str(line) for line in lines]
    return f"line {numbers[0]}" if len(numbers) == 1 else f"lines {', '.join(numbers)}"


def _count(lines: Collection[object]) -> str:
    return "1 line" if len(lines) == 1 else f"{len(lines)} lines"


def _distance(meter: Distance) -> str:
    return f"{round(meter.metres / METRES[meter.unit])} {UNITS[meter.unit]}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _slot(slot: Timeslot) -> str:
    return f"from {_time(slot.start)} to {_time(slot.end)}"
