from collections.abc import Iterable
from typing import get_args

import pytest

from kernel.errors import DomainError
from services.workshop.tests.domain.stories import (
    ANNA,
    APPROVED,
    BAY_1,
    BERND,
    BOOKED,
    BRAKES,
    CERTIFIED,
    CHECKED_IN,
    CLOSED,
    COMPLETED,
    DIAGNOSED,
    ESTIMATED,
    FINISHED,
    HOUR,
    IN_QUALITY_CHECK,
    INSPECTOR,
    INVOICED,
    MANAGER,
    MORNING,
    NEXT_INVOICE,
    NINE,
    NOON,
    PLANNED,
    PRICES,
    READY,
    RELEASED,
    REQUESTED,
    SITE,
    START,
    WIPERS,
    WORKING,
    Story,
    as_asked,
    given,
    job_after,
    km,
    said,
)
from workshop.domain.job import commands
from workshop.domain.job.allowed import ALLOWED, allowed_actions
from workshop.domain.job.commands import JobCommand
from workshop.domain.job.decider import DECISIONS, decide
from workshop.domain.job.events import (
    AdditionalWorkFound,
    BayLeft,
    JobCancelled,
    JobHeld,
    JobRejected,
    JobReopened,
    LinesDeclined,
    PartsShort,
    QcFailed,
    VehicleReleased,
)
from workshop.domain.job.facts import CheckInFacts, JobFacts, ReopenFacts
from workshop.domain.job.state import TO_BE_DONE, Job, Line
from workshop.domain.job.values import HoldReason, LineState, MeterKind, Priority, RepairReason

WORDS = said("As it is")
LATER = NOON + HOUR
STORIES: dict[str, Story] = {
    "requested": REQUESTED,
    "rejected": (*REQUESTED, JobRejected(WORDS)),
    "planned": PLANNED,
    "cancelled early": (*PLANNED, JobCancelled(WORDS)),
    "checked in": CHECKED_IN,
    "diagnosed": DIAGNOSED,
    "estimated": ESTIMATED,
    "declined": (*ESTIMATED, LinesDeclined((1, 2), 1)),
    "released without work": (
        *ESTIMATED,
        LinesDeclined((1, 2), 1),
        VehicleReleased(km(120_000)),
    ),
    "approved": APPROVED,
    "short of parts": (*APPROVED, PartsShort((1,), None)),
    "ready": READY,
    "booked": BOOKED,
    "working": WORKING,
    "more was found": (*FINISHED, AdditionalWorkFound(3, "013", WORDS, "")),
    "held": (*FINISHED, JobHeld(HoldReason.PARTS, None)),
    "finished": FINISHED,
    "out of the bay": (*FINISHED, BayLeft()),
    "in quality check": IN_QUALITY_CHECK,
    "rework": (*IN_QUALITY_CHECK, QcFailed(INSPECTOR, (1,), WORDS)),
    "completed": COMPLETED,
    "released": RELEASED,
    "invoiced": INVOICED,
    "closed": CLOSED,
    "reopened": (*CLOSED, JobReopened(WORDS, km(121_000), comeback=False, code="")),
    "cancelled late": (*FINISHED, JobCancelled(WORDS)),
}


def undecided(job: Job) -> tuple[int, ...]:
    return _numbers(line for line in job.visit_lines if line.state is LineState.PROPOSED) or (1,)


def _numbers(lines: Iterable[Line]) -> tuple[int, ...]:
    return tuple(line.line for line in lines)


def fitting(job: Job) -> list[tuple[JobCommand, JobFacts]]:
    """Of each kind the command that fits the job best."""
    version = job.estimate_version
    open_lines = _numbers(line for line in job.visit_lines if line.state in TO_BE_DONE) or (1,)
    done = _numbers(line for line in job.visit_lines if line.state is LineState.DONE) or (1,)
    clock = next((each.labour for each in job.labour if each.stopped_at), 1)
    priced = _numbers(line for line in job.visit_lines if line.priced and not line.invoiced)
    waiting = tuple(line for line in priced if line in undecided(job)) or undecided(job)
    meter = job.meter_in or km(120_000)
    return [
        (commands.TriageJob(Priority.EMERGENCY, RepairReason.BREAKDOWN), None),
        (commands.RejectJob(WORDS), None),
        (commands.CheckInVehicle(km(120_000)), CheckInFacts()),
        (commands.RecordDiagnosis(None, WORDS, None), None),
        (commands.IssueEstimate((as_asked(WIPERS),)), PRICES),
        (commands.ApproveLines(version, waiting), MANAGER),
        (commands.DeclineLines(version, undecided(job)), None),
        (commands.DeferLines(version, undecided(job)), None),
        (commands.ConfirmParts(()), None),
        (commands.ReportPartsShort((1,), None), None),
        (commands.AssignTechnician(BERND, NINE), CERTIFIED),
        (commands.PromiseCompletion(NOON), None),
        (commands.BookBay(BAY_1, MORNING), SITE),
        (commands.RescheduleBay(BAY_1, MORNING), SITE),
        (commands.ReleaseBay(), None),
        (commands.StartWork(BERND, BAY_1, LATER, NOON), START),
        (commands.StartLabour(BERND, 0, NOON), CERTIFIED),
        (commands.StopLabour(ANNA, NOON), None),
        (commands.CorrectLabour(clock, NINE, NOON, WORDS, LATER), None),
        (commands.LeaveBay(), None),
        (commands.HoldJob(HoldReason.PARTS, None, NOON), None),
        (commands.ResumeJob(), None),
        (commands.ReportAdditionalWork(BRAKES.code, WORDS, ""), None),
        (commands.CompleteLine(open_lines[0]), None),
        (commands.CompleteWork(NOON), None),
        (commands.PassQc(INSPECTOR, None), None),
        (commands.FailQc(done[:1], WORDS, INSPECTOR, None), None),
        (commands.ReleaseVehicle(km(130_000)), None),
        (commands.InvoiceJob(NOON), NEXT_INVOICE),
        (commands.CloseJob(), None),
        (commands.CancelJob(WORDS, NOON), None),
        (commands.ReopenJob(WORDS, km(130_000), "", LATER), ReopenFacts(24 * HOUR)),
        (commands.CorrectMeter(MeterKind.IN, meter, None, WORDS, LATER), None),
    ]


def refused(command: JobCommand, story: Story, facts: JobFacts) -> bool:
    try:
        given(*story).when(decide, command, facts)
    except DomainError:
        return True
    return False


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_a_job_offers_exactly_what_it_does_not_refuse(story: Story) -> None:
    job = job_after(*story)

    accepted = {
        ALLOWED[type(command)].verb
        for command, facts in fitting(job)
        if not refused(command, story, facts)
    }

    assert set(allowed_actions(job)) == accepted


def test_every_command_has_a_row_in_the_table_and_a_decision() -> None:
    every = set(get_args(JobCommand))

    assert set(ALLOWED) == every
    assert set(DECISIONS) == every - {commands.RequestJob}


def test_every_verb_is_tried() -> None:
    verbs = {allowed.verb for allowed in ALLOWED.values() if allowed.verb}

    assert {ALLOWED[type(command)].verb for command, _ in fitting(job_after(*READY))} == verbs
