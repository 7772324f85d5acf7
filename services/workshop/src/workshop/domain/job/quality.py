"""Another person looks at the work before the vehicle may go."""

from workshop.domain.errors import InspectorWorkedOnJob, LineNotDone
from workshop.domain.job.commands import FailQc, PassQc
from workshop.domain.job.events import JobEvent, QcFailed, QcPassed
from workshop.domain.job.lines import find_line
from workshop.domain.job.state import Job
from workshop.domain.job.values import LineState


def pass_qc(command: PassQc, job: Job, facts: None) -> list[JobEvent]:
    _refuse_own_work(command, job)
    return [QcPassed(command.inspector)]


def fail_qc(command: FailQc, job: Job, facts: None) -> list[JobEvent]:
    _refuse_own_work(command, job)
    lines = tuple(dict.fromkeys(command.lines))
    for number in lines:
        state = find_line(job, number).state
        if state is not LineState.DONE:
            raise LineNotDone(
                f"line {number} is {state.lower()}: there is nothing to do again",
                line=str(number),
                line_state=state,
            )
    return [QcFailed(command.inspector, lines, command.note)]


def _refuse_own_work(command: PassQc | FailQc, job: Job) -> None:
    """Whoever clocked labour on the job, on any visit, cannot judge it."""
    workers = {clock.technician for clock in job.labour}
    if {command.inspector, command.inspector_technician} & workers:
        raise InspectorWorkedOnJob("the inspector worked on the job: another person must look")
