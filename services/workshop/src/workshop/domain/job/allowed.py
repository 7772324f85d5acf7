"""When a job allows what: the one table that guards commands and tells people what they can do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from workshop.domain.errors import JobStateForbids
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
from workshop.domain.job.state import TO_BE_DONE, Job
from workshop.domain.job.values import JobState, LineState

Condition: TypeAlias = Callable[[Job], bool]

ALL = frozenset(JobState)
REQUESTED = frozenset({JobState.REQUESTED})
PLANNED = frozenset({JobState.PLANNED})
IN_PROGRESS = frozenset({JobState.IN_PROGRESS})
ON_HOLD = frozenset({JobState.ON_HOLD})
AT_WORK = IN_PROGRESS | ON_HOLD
QUALITY_CHECK = frozenset({JobState.QUALITY_CHECK})
RELEASED = frozenset({JobState.RELEASED})
NOT_ARRIVED = frozenset({JobState.REQUESTED, JobState.PLANNED, JobState.REJECTED})
COMPLETED_OR_LATER = RELEASED | {JobState.COMPLETED, JobState.INVOICED, JobState.CLOSED}
OVER = COMPLETED_OR_LATER | QUALITY_CHECK | {JobState.CANCELLED}
ARRIVED = ALL - NOT_ARRIVED
IN_THE_WORKSHOP = ARRIVED - OVER
PLANNED_TO_ON_HOLD = IN_THE_WORKSHOP | PLANNED
ESTIMATED = AT_WORK | {JobState.AWAITING_APPROVAL}
PARTS_AWAITED = AT_WORK | {JobState.APPROVED, JobState.WAITING_PARTS}
NOT_YET_RELEASED = PLANNED_TO_ON_HOLD | REQUESTED | QUALITY_CHECK | {JobState.COMPLETED}


def _always(job: Job) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Allowed:
    """`verb` is the one of the API; none where no person asks for it.

    Outside `states`, or unless it is `possible`, a command is refused with JOB_STATE_FORBIDS.
    Where it is not `offered` it would be refused with a reason of its own.
    """

    verb: str
    states: frozenset[JobState]
    possible: Condition = _always
    offered: Condition = _always

    def holds(self, job: Job) -> bool:
        return job.state in self.states and self.possible(job)


def _out_of_bay(job: Job) -> bool:
    return job.bay is None


def _in_bay(job: Job) -> bool:
    return job.bay is not None


def _may_begin(job: Job) -> bool:
    """Ready; or in progress after rework was asked for, or after the vehicle left the bay."""
    return job.state is JobState.READY or job.bay is None


def _no_rework_due(job: Job) -> bool:
    return not job.rework_due


def _booked(job: Job) -> bool:
    return job.booking is not None


def _not_booked(job: Job) -> bool:
    return job.booking is None


def _clock_runs(job: Job) -> bool:
    return bool(job.running)


def _clock_stopped(job: Job) -> bool:
    return len(job.labour) > len(job.running)


def _can_leave_bay(job: Job) -> bool:
    return _in_bay(job) and not job.running


def _undecided(job: Job) -> bool:
    return any(line.state is LineState.PROPOSED for line in job.visit_lines)


def _priced_and_undecided(job: Job) -> bool:
    return any(line.state is LineState.PROPOSED and line.priced for line in job.visit_lines)


def _waits_for_parts(job: Job) -> bool:
    return any(line.waits_for_parts for line in job.visit_lines)


def _to_be_done(job: Job) -> bool:
    return any(line.state in TO_BE_DONE for line in job.visit_lines)


def _all_done(job: Job) -> bool:
    diagnosed = job.cause is not None and job.correction is not None
    return diagnosed and not (_undecided(job) or _to_be_done(job) or job.running)


def _to_be_invoiced(job: Job) -> bool:
    return bool(job.uninvoiced)


def _nothing_to_invoice(job: Job) -> bool:
    return job.state is JobState.INVOICED or not job.uninvoiced


def _meter_was_read(job: Job) -> bool:
    return job.meter_in is not None


ALLOWED: Mapping[type[JobCommand], Allowed] = {
    TriageJob: Allowed("triage", REQUESTED),
    RejectJob: Allowed("reject", REQUESTED),
    CheckInVehicle: Allowed("checkIn", PLANNED),
    RecordDiagnosis: Allowed("recordDiagnosis", IN_THE_WORKSHOP),
    IssueEstimate: Allowed("issueEstimate", ESTIMATED | {JobState.DIAGNOSED, JobState.DECLINED}),
    ApproveLines: Allowed("approveLines", ESTIMATED, offered=_priced_and_undecided),
    DeclineLines: Allowed("declineLines", ESTIMATED, offered=_undecided),
    DeferLines: Allowed("deferLines", ESTIMATED, offered=_undecided),
    ConfirmParts: Allowed("confirmParts", PARTS_AWAITED, possible=_waits_for_parts),
    ReportPartsShort: Allowed("reportPartsShort", PARTS_AWAITED, possible=_waits_for_parts),
    AssignTechnician: Allowed("assign", PLANNED_TO_ON_HOLD),
    PromiseCompletion: Allowed("promise", PLANNED_TO_ON_HOLD),
    BookBay: Allowed("bookBay", PLANNED_TO_ON_HOLD, offered=_not_booked),
    RescheduleBay: Allowed("rescheduleBay", PLANNED_TO_ON_HOLD, offered=_booked),
    ReleaseBay: Allowed("releaseBay", PLANNED_TO_ON_HOLD, possible=_out_of_bay, offered=_booked),
    StartWork: Allowed("startWork", IN_PROGRESS | {JobState.READY}, possible=_may_begin),
    StartLabour: Allowed("startLabour", IN_PROGRESS, possible=_no_rework_due),
    StopLabour: Allowed("stopLabour", IN_PROGRESS, offered=_clock_runs),
    CorrectLabour: Allowed("correctLabour", ARRIVED, offered=_clock_stopped),
    LeaveBay: Allowed("leaveBay", AT_WORK, offered=_can_leave_bay),
    HoldJob: Allowed("hold", IN_PROGRESS),
    ResumeJob: Allowed("resume", ON_HOLD),
    ReportAdditionalWork: Allowed("reportAdditionalWork", AT_WORK),
    CompleteLine: Allowed(
        "completeLine", IN_PROGRESS, possible=_no_rework_due, offered=_to_be_done
    ),
    CompleteWork: Allowed("completeWork", IN_PROGRESS, offered=_all_done),
    PassQc: Allowed("passQc", QUALITY_CHECK),
    FailQc: Allowed("failQc", QUALITY_CHECK),
    ReleaseVehicle: Allowed("release", frozenset({JobState.COMPLETED, JobState.DECLINED})),
    InvoiceJob: Allowed("invoice", RELEASED, offered=_to_be_invoiced),
    CloseJob: Allowed("close", RELEASED | {JobState.INVOICED}, possible=_nothing_to_invoice),
    CancelJob: Allowed("cancel", NOT_YET_RELEASED),
    ReopenJob: Allowed("reopen", COMPLETED_OR_LATER),
    CorrectMeter: Allowed("correctMeter", ARRIVED, offered=_meter_was_read),
    FlagJob: Allowed("", ALL),
    RequestJob: Allowed("", frozenset()),
}


def allowed_actions(job: Job) -> tuple[str, ...]:
    """The verbs that the job allows now, whoever asks."""
    return tuple(
        allowed.verb
        for allowed in ALLOWED.values()
        if allowed.verb and allowed.holds(job) and allowed.offered(job)
    )


def refuse_unless_allowed(command: JobCommand, job: Job) -> None:
    allowed = ALLOWED[type(command)]
    if allowed.holds(job):
        return
    actions = allowed_actions(job)
    state = job.state.lower().replace("_", " ")
    raise JobStateForbids(
        f"job {job.number} is {state}: it allows {', '.join(actions) or 'nothing'}, "
        f"not {allowed.verb or 'another request'}",
        state=job.state,
        allowed=",".join(actions),
    )
