"""Labour clocks: one running per technician; facts stop them, people start them."""

from datetime import datetime

from workshop.domain.bounds import MOST_CLOCKS
from workshop.domain.errors import (
    ClockAlreadyRunning,
    ClockNotRunning,
    ClockStillRunning,
    TooManyClocks,
)
from workshop.domain.job.commands import StartLabour, StopLabour
from workshop.domain.job.events import JobEvent, LabourStarted, LabourStopped
from workshop.domain.job.facts import TechnicianFacts
from workshop.domain.job.lines import line_to_be_done
from workshop.domain.job.qualification import refuse_unqualified
from workshop.domain.job.state import TO_BE_DONE, Job, Labour, Line
from workshop.domain.values import TechnicianId


def start_labour(command: StartLabour, job: Job, facts: TechnicianFacts) -> list[JobEvent]:
    started_at = next_start(command.technician, job, command.at)
    refuse_unqualified(command.technician, facts, _lines(command, job), started_at)
    labour = next_clock(job)
    return [LabourStarted(labour, command.technician, command.line, started_at)]


def stop_labour(command: StopLabour, job: Job, facts: None) -> list[JobEvent]:
    running = [clock for clock in job.running if clock.technician == command.technician]
    if not running:
        raise ClockNotRunning(
            "the technician's clock does not run on this job",
            technician=f"technicians/{command.technician}",
        )
    return [_stopped(clock, command.at) for clock in running]


def all_stopped(job: Job, at: datetime) -> list[JobEvent]:
    return [_stopped(clock, at) for clock in job.running]


def next_clock(job: Job) -> int:
    number = len(job.labour) + 1
    if number > MOST_CLOCKS:
        raise TooManyClocks(
            f"the job has {MOST_CLOCKS} clocks, and more do not fit", most=str(MOST_CLOCKS)
        )
    return number


def next_start(technician: TechnicianId, job: Job, at: datetime) -> datetime:
    """Now; where a device says so late, not before the technician's last clock here stopped."""
    own = [clock for clock in job.labour if clock.technician == technician]
    for clock in own:
        if clock.stopped_at is None:
            raise ClockAlreadyRunning(
                f"clock {clock.labour} of the technician runs already",
                technician=f"technicians/{technician}",
                labour=str(clock.labour),
            )
    return max([at, *(clock.stopped_at for clock in own if clock.stopped_at)])


def refuse_running(job: Job) -> None:
    for clock in job.running:
        raise ClockStillRunning(
            f"clock {clock.labour} still runs: stop it first",
            labour=str(clock.labour),
            technician=f"technicians/{clock.technician}",
        )


def _lines(command: StartLabour, job: Job) -> list[Line]:
    if command.line:
        return [line_to_be_done(job, command.line)]
    return [line for line in job.visit_lines if line.state in TO_BE_DONE]


def _stopped(clock: Labour, at: datetime) -> LabourStopped:
    """A clock never stops before it starts, whatever the device says."""
    return LabourStopped(clock.labour, max(at, clock.started_at))
