"""The work itself: begun, held, found to be more, and done."""

from dataclasses import replace

from workshop.domain.errors import (
    DiagnosisIncomplete,
    LinesOpen,
    LinesUndecided,
    NoteMissing,
)
from workshop.domain.job.clocks import all_stopped, next_clock, next_start, refuse_running
from workshop.domain.job.commands import (
    CompleteLine,
    CompleteWork,
    HoldJob,
    ReportAdditionalWork,
    ResumeJob,
    StartWork,
)
from workshop.domain.job.events import (
    AdditionalWorkFound,
    JobEvent,
    JobHeld,
    JobResumed,
    LineCompleted,
    WorkCompleted,
    WorkStarted,
)
from workshop.domain.job.facts import StartFacts
from workshop.domain.job.lines import found, line_to_be_done, refuse_more
from workshop.domain.job.planning import booked_from_start
from workshop.domain.job.qualification import refuse_unqualified
from workshop.domain.job.state import TO_BE_DONE, Job, Line
from workshop.domain.job.values import HoldReason, LineState
from workshop.domain.values import Timeslot


def start(command: StartWork, job: Job, facts: StartFacts) -> list[JobEvent]:
    """Takes the bay and starts the technician's clock; rework begins in the same way."""
    started_at = next_start(command.technician, job, command.at)
    lines = _lines_in(job, TO_BE_DONE)
    refuse_unqualified(command.technician, facts.technician, lines, started_at)
    stay = Timeslot(started_at, command.planned_end)
    booked = booked_from_start(command.bay, stay, job, facts.site)
    started = WorkStarted(
        command.technician, command.bay, next_clock(job), started_at, command.planned_end
    )
    return [*booked, started]


def hold(command: HoldJob, job: Job, facts: None) -> list[JobEvent]:
    """Stops every clock and keeps the bay."""
    if command.reason is HoldReason.OTHER and command.note is None:
        raise NoteMissing("for another reason, say which")
    return [*all_stopped(job, command.at), JobHeld(command.reason, command.note)]


def resume(command: ResumeJob, job: Job, facts: None) -> list[JobEvent]:
    return [JobResumed()]


def report_additional_work(command: ReportAdditionalWork, job: Job, facts: None) -> list[JobEvent]:
    number = len(job.lines) + 1
    more = AdditionalWorkFound(number, command.code, command.description, command.certification)
    refuse_more(replace(job, lines=(*job.lines, found(more, job.visit))))
    return [more]


def complete_line(command: CompleteLine, job: Job, facts: None) -> list[JobEvent]:
    return [LineCompleted(line_to_be_done(job, command.line).line)]


def complete(command: CompleteWork, job: Job, facts: None) -> list[JobEvent]:
    refuse_running(job)
    undecided = _lines_in(job, frozenset({LineState.PROPOSED}))
    if undecided:
        raise LinesUndecided(f"{_named(undecided)} undecided", lines=_numbers(undecided))
    still_open = _lines_in(job, TO_BE_DONE)
    if still_open:
        raise LinesOpen(f"{_named(still_open)} not done", lines=_numbers(still_open))
    if job.cause is None or job.correction is None:
        raise DiagnosisIncomplete("cause and correction must be recorded first")
    return [WorkCompleted(command.at)]


def _lines_in(job: Job, states: frozenset[LineState]) -> list[Line]:
    return [line for line in job.visit_lines if line.state in states]


def _named(lines: list[Line]) -> str:
    few = len(lines) == 1
    return f"line {_numbers(lines)} is" if few else f"lines {_numbers(lines)} are"


def _numbers(lines: list[Line]) -> str:
    return ",".join(str(line.line) for line in lines)
