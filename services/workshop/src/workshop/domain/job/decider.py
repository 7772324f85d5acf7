"""The job as a decider: which function decides what, and what it claims."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, cast

from eventstore.decider import Decider
from workshop.domain.errors import JobNotFound
from workshop.domain.job import (
    clocks,
    closing,
    corrections,
    estimate,
    intake,
    planning,
    quality,
    work,
)
from workshop.domain.job.allowed import refuse_unless_allowed
from workshop.domain.job.claims import SCOPES, claims, taken
from workshop.domain.job.commands import (
    ApproveLines,
    AssignTechnician,
    BookBay,
    CancelJob,
    CheckInVehicle,
    CloseJob,
    CompleteLine,
    CompleteWork,
    ConfirmParts,
    CorrectLabour,
    CorrectMeter,
    DeclineLines,
    DeferLines,
    FailQc,
    FlagJob,
    HoldJob,
    InvoiceJob,
    IssueEstimate,
    JobCommand,
    LeaveBay,
    PassQc,
    PromiseCompletion,
    RecordDiagnosis,
    RejectJob,
    ReleaseBay,
    ReleaseVehicle,
    ReopenJob,
    ReportAdditionalWork,
    ReportPartsShort,
    RequestJob,
    RescheduleBay,
    ResumeJob,
    StartLabour,
    StartWork,
    StopLabour,
    TriageJob,
)
from workshop.domain.job.events import JobEvent, LabourCorrected, MeterCorrected
from workshop.domain.job.evolve import AnyJob, evolve
from workshop.domain.job.facts import JobFacts, RequestFacts
from workshop.domain.job.state import NoJob

Decision: TypeAlias = Callable[[Any, Any, Any], list[JobEvent]]

DECISIONS: Mapping[type[JobCommand], Decision] = {
    TriageJob: intake.triage,
    RejectJob: intake.reject,
    CheckInVehicle: intake.check_in,
    RecordDiagnosis: intake.record_diagnosis,
    IssueEstimate: estimate.issue_estimate,
    ApproveLines: estimate.approve,
    DeclineLines: estimate.decline,
    DeferLines: estimate.defer,
    ConfirmParts: estimate.confirm_parts,
    ReportPartsShort: estimate.report_parts_short,
    AssignTechnician: planning.assign,
    PromiseCompletion: planning.promise,
    BookBay: planning.book,
    RescheduleBay: planning.reschedule,
    ReleaseBay: planning.release_bay,
    LeaveBay: planning.leave_bay,
    StartWork: work.start,
    StartLabour: clocks.start_labour,
    StopLabour: clocks.stop_labour,
    CorrectLabour: corrections.correct_labour,
    HoldJob: work.hold,
    ResumeJob: work.resume,
    ReportAdditionalWork: work.report_additional_work,
    CompleteLine: work.complete_line,
    CompleteWork: work.complete,
    PassQc: quality.pass_qc,
    FailQc: quality.fail_qc,
    ReleaseVehicle: closing.release,
    InvoiceJob: closing.invoice,
    CloseJob: closing.close,
    CancelJob: closing.cancel,
    ReopenJob: closing.reopen,
    CorrectMeter: corrections.correct_meter,
    FlagJob: closing.flag,
}


def decide(command: JobCommand, job: AnyJob, facts: JobFacts = None) -> list[JobEvent]:
    """Each decision may rely on the table of what a job allows."""
    if isinstance(job, NoJob):
        if not isinstance(command, RequestJob):
            raise JobNotFound("there is no such job")
        return intake.request(command, cast("RequestFacts", facts))
    refuse_unless_allowed(command, job)
    return DECISIONS[type(command)](command, job, facts)


def site(job: AnyJob) -> str:
    return "" if isinstance(job, NoJob) else job.site


def occurred(event: JobEvent) -> datetime | None:
    """A correction occurs when what it corrects did."""
    match event:
        case LabourCorrected():
            return event.stopped_at
        case MeterCorrected():
            return event.read_at
        case _:
            return None


JOB: Decider[JobCommand, AnyJob, JobEvent, JobFacts] = Decider(
    initial=NoJob(),
    decide=decide,
    evolve=evolve,
    claims=claims,
    scopes=SCOPES,
    taken=taken,
    site=site,
    occurred=occurred,
)
