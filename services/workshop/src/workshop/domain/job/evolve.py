"""How each event changes a job. It never refuses: the past is not open to debate."""

from dataclasses import replace
from functools import reduce
from typing import TypeAlias, assert_never

from workshop.domain.job.corrections import corrected, corrected_clock, corrected_meter
from workshop.domain.job.events import (
    AdditionalWorkFound,
    BayBooked,
    BayLeft,
    BayReleased,
    BayRescheduled,
    ClosingEvent,
    CompletionPromised,
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
    MeterCorrected,
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
from workshop.domain.job.lines import (
    awaiting,
    decided,
    found,
    in_state,
    priced_line,
    returned,
    supplied,
    with_lines,
    with_parts,
)
from workshop.domain.job.state import (
    Booking,
    Flag,
    Invoice,
    Job,
    Labour,
    NoJob,
)
from workshop.domain.job.values import JobState, LineState, MeterKind

AnyJob: TypeAlias = NoJob | Job


def evolve(job: AnyJob, event: JobEvent) -> AnyJob:  # noqa: PLR0911 -- one for each phase
    if isinstance(job, NoJob):
        return _begun(job, event)
    if isinstance(event, IntakeEvent):
        return _taken_in(job, event)
    if isinstance(event, EstimateEvent):
        return _estimated(job, event)
    if isinstance(event, PlanningEvent):
        return _planned(job, event)
    if isinstance(event, LabourEvent):
        return _clocked(job, event)
    if isinstance(event, WorkEvent):
        return _worked(job, event)
    if isinstance(event, ClosingEvent):
        return _closed(job, event)
    return corrected(job, event)


def _begun(nothing: NoJob, event: JobEvent) -> AnyJob:
    match event:
        case JobRequested():
            job = Job(
                number=event.number,
                site=event.site,
                vehicle=event.vehicle,
                source=event.source,
                requester=event.requester,
                complaint=event.complaint,
                duplicate_key=event.duplicate_key,
                requested_at=event.requested_at,
            )
            return reduce(corrected, nothing.corrections, job)
        case LabourCorrected() | MeterCorrected():
            return NoJob(nothing.corrections | {event})
        case _:
            return nothing


def _taken_in(job: Job, event: IntakeEvent) -> Job:
    match event:
        case JobRequested():
            return job
        case JobTriaged(priority, reason):
            return replace(job, state=JobState.PLANNED, priority=priority, reason=reason)
        case JobRejected(note):
            return replace(job, state=JobState.REJECTED, note=note)
        case VehicleCheckedIn(meter, lines):
            return replace(
                job,
                state=JobState.CHECKED_IN,
                meter_in=corrected_meter(job, MeterKind.IN, meter),
                lines=(*job.lines, *(returned(line, job.visit) for line in lines)),
            )
        case DiagnosisRecorded(complaint, cause, correction):
            state = JobState.DIAGNOSED if job.state is JobState.CHECKED_IN else job.state
            return replace(
                job,
                state=state,
                complaint=complaint or job.complaint,
                cause=cause or job.cause,
                correction=correction or job.correction,
            )
        case _:
            assert_never(event)


def _estimated(job: Job, event: EstimateEvent) -> Job:
    match event:
        case EstimateIssued(version, currency, lines):
            priced = reduce(priced_line, lines, job)
            return awaiting(replace(priced, estimate_version=version, currency=currency))
        case LinesApproved(lines):
            return decided(with_lines(job, lines, in_state(LineState.APPROVED)))
        case LinesDeclined(lines):
            return decided(with_lines(job, lines, in_state(LineState.DECLINED)))
        case LinesDeferred(lines):
            return decided(with_lines(job, lines, in_state(LineState.DEFERRED)))
        case PartsConfirmed(lines):
            return supplied(with_lines(job, lines, with_parts(confirmed=True)), job.state)
        case PartsShort(lines):
            return supplied(
                with_lines(job, lines, with_parts(confirmed=False)), JobState.WAITING_PARTS
            )
        case _:
            assert_never(event)


def _planned(job: Job, event: PlanningEvent) -> Job:
    match event:
        case TechnicianAssigned(technician):
            return replace(job, technician=technician)
        case CompletionPromised(promised_at):
            return replace(job, promised_at=promised_at)
        case BayBooked(bay, slot) | BayRescheduled(bay, slot):
            return replace(job, booking=Booking(bay, slot))
        case BayReleased():
            return replace(job, booking=None)
        case BayLeft():
            return _out_of_bay(job)
        case _:
            assert_never(event)


def _clocked(job: Job, event: LabourEvent) -> Job:
    match event:
        case WorkStarted(technician, bay, labour, started_at):
            clock = corrected_clock(job, Labour(labour, technician, 0, started_at))
            return replace(
                job,
                state=JobState.IN_PROGRESS,
                technician=job.technician or technician,
                bay=bay,
                labour=(*job.labour, clock),
                rework_due=False,
            )
        case LabourStarted(labour, technician, line, started_at):
            clock = corrected_clock(job, Labour(labour, technician, line, started_at))
            return replace(job, labour=(*job.labour, clock))
        case LabourStopped():
            return replace(job, labour=tuple(_stopped(clock, event) for clock in job.labour))
        case _:
            assert_never(event)


def _worked(job: Job, event: WorkEvent) -> Job:  # noqa: PLR0911 -- one for each event
    match event:
        case JobHeld(reason, note):
            return replace(job, state=JobState.ON_HOLD, hold_reason=reason, note=note)
        case JobResumed():
            return replace(job, state=JobState.IN_PROGRESS, hold_reason=None)
        case AdditionalWorkFound():
            return replace(job, lines=(*job.lines, found(event, job.visit)))
        case LineCompleted(line):
            return with_lines(job, {line}, in_state(LineState.DONE))
        case WorkCompleted(completed_at):
            completed = replace(
                job,
                state=JobState.QUALITY_CHECK,
                completions=(*job.completions, completed_at),
            )
            return _out_of_bay(completed)
        case QcPassed(inspector):
            return replace(job, state=JobState.COMPLETED, inspector=inspector)
        case QcFailed(_, lines):
            return _sent_back(with_lines(job, lines, in_state(LineState.REWORK)))
        case _:
            assert_never(event)


def _closed(job: Job, event: ClosingEvent) -> Job:
    match event:
        case VehicleReleased(meter):
            meter_out = corrected_meter(job, MeterKind.OUT, meter)
            return _out_of_bay(replace(job, state=JobState.RELEASED, meter_out=meter_out))
        case JobInvoiced():
            return _invoiced(job, event)
        case JobClosed():
            return replace(job, state=JobState.CLOSED)
        case JobCancelled(note):
            cancelled = replace(job, state=JobState.CANCELLED, hold_reason=None, note=note)
            return _out_of_bay(cancelled)
        case JobReopened():
            return _come_back(job, event)
        case JobFlagged(reason, about, raised_at):
            return replace(job, flags=(*job.flags, Flag(reason, about, raised_at)))
        case _:
            assert_never(event)


def _stopped(clock: Labour, event: LabourStopped) -> Labour:
    """What was corrected stays: the correction may have occurred before the stop."""
    concerned = clock.labour == event.labour and not clock.corrected
    return replace(clock, stopped_at=event.stopped_at) if concerned else clock


def _out_of_bay(job: Job) -> Job:
    return replace(job, bay=None, booking=None)


def _sent_back(job: Job) -> Job:
    """The work was not completed after all."""
    return replace(
        job,
        state=JobState.IN_PROGRESS,
        rework_count=job.rework_count + 1,
        rework_due=True,
        completions=job.completions[:-1],
    )


def _invoiced(job: Job, event: JobInvoiced) -> Job:
    invoice = Invoice(event.series, event.sequence, event.currency, event.lines, event.invoiced_at)
    charged = {line.line for line in event.lines}
    invoiced = with_lines(job, charged, lambda line: replace(line, invoiced=True))
    return replace(invoiced, state=JobState.INVOICED, invoices=(*job.invoices, invoice))


def _come_back(job: Job, event: JobReopened) -> Job:
    """What was found, promised and inspected belongs to the visit before."""
    visit = replace(job, visit=job.visit + 1)
    return replace(
        _out_of_bay(visit),
        state=JobState.CHECKED_IN,
        meter_in=corrected_meter(visit, MeterKind.IN, event.meter),
        meter_out=None,
        cause=None,
        correction=None,
        promised_at=None,
        inspector="",
        comeback=event.comeback,
        note=event.note,
    )
