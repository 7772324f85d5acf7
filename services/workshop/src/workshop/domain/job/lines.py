"""The tasks of a job, and what their states make of the job."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta

from workshop.domain.bounds import MOST_LINES
from workshop.domain.errors import LineNotApproved, LineNotFound, TooManyLines
from workshop.domain.job.events import AdditionalWorkFound, EstimatedLine, ReturnedLine
from workshop.domain.job.state import TO_BE_DONE, Job, Line
from workshop.domain.job.values import JobState, LineState

AT_WORK = frozenset({JobState.IN_PROGRESS, JobState.ON_HOLD})
NO_TIME = timedelta()


def find_line(job: Job, number: int) -> Line:
    """A line of this visit: those of earlier visits are history."""
    for line in job.visit_lines:
        if line.line == number:
            return line
    raise LineNotFound(
        f"visit {job.visit} of job {job.number} has no line {number}", line=str(number)
    )


def line_to_be_done(job: Job, number: int) -> Line:
    line = find_line(job, number)
    if line.state not in TO_BE_DONE:
        raise LineNotApproved(
            f"line {number} is {line.state.lower()}, not to be done",
            line=str(number),
            line_state=line.state,
        )
    return line


def refuse_more(job: Job) -> None:
    """Of lines, than a job can have and still be shown."""
    if len(job.lines) > MOST_LINES:
        raise TooManyLines(
            f"with these lines the job would have {len(job.lines)}, and at most {MOST_LINES} fit",
            lines=str(len(job.lines)),
            most=str(MOST_LINES),
        )


def with_lines(job: Job, numbers: Collection[int], change: Callable[[Line], Line]) -> Job:
    lines = (change(line) if line.line in numbers else line for line in job.lines)
    return replace(job, lines=tuple(lines))


def in_state(state: LineState) -> Callable[[Line], Line]:
    return lambda line: replace(line, state=state)


def with_parts(*, confirmed: bool) -> Callable[[Line], Line]:
    return lambda line: replace(line, parts_confirmed=confirmed)


def returned(line: ReturnedLine, visit: int) -> Line:
    return Line(
        line=line.line,
        state=LineState.PROPOSED,
        code=line.code,
        description=None,
        labour=line.labour,
        parts=line.parts,
        fees_minor=line.fees_minor,
        certification=line.certification,
        visit=visit,
        from_job=line.from_job,
        from_line=line.from_line,
    )


def priced_line(job: Job, line: EstimatedLine) -> Job:
    """A line that came back keeps its origin; words that are not said anew stand."""
    earlier = next((each for each in job.lines if each.line == line.line), None)
    priced = Line(
        line=line.line,
        state=LineState.PROPOSED,
        code=line.code,
        description=line.description,
        labour=line.labour,
        parts=line.parts,
        fees_minor=line.fees_minor,
        certification=line.certification,
        visit=job.visit,
        labour_minor=line.labour_minor,
        parts_minor=line.parts_minor,
        priced=True,
    )
    if earlier is None:
        return replace(job, lines=(*job.lines, priced))
    kept = replace(
        priced,
        description=line.description or earlier.description,
        from_job=earlier.from_job,
        from_line=earlier.from_line,
    )
    return with_lines(job, {line.line}, lambda _: kept)


def found(event: AdditionalWorkFound, visit: int) -> Line:
    return Line(
        line=event.line,
        state=LineState.PROPOSED,
        code=event.code,
        description=event.description,
        labour=NO_TIME,
        parts=(),
        fees_minor=0,
        certification=event.certification,
        visit=visit,
    )


def awaiting(job: Job) -> Job:
    """Work that is under way goes on while additional work waits for its answer."""
    return job if job.state in AT_WORK else replace(job, state=JobState.AWAITING_APPROVAL)


def decided(job: Job) -> Job:
    """Every priced line needs its answer; one yes is enough to go on."""
    states = {line.state for line in job.visit_lines}
    waits = any(line.priced and line.state is LineState.PROPOSED for line in job.visit_lines)
    if job.state in AT_WORK or waits:
        return job
    if LineState.APPROVED in states:
        return supplied(job, JobState.APPROVED)
    if LineState.PROPOSED in states:
        return job
    return replace(job, state=JobState.DECLINED)


def supplied(job: Job, otherwise: JobState) -> Job:
    """Ready once no line waits for parts; work that is under way goes on."""
    if job.state in AT_WORK:
        return job
    waits = any(line.waits_for_parts for line in job.lines)
    return replace(job, state=otherwise if waits else JobState.READY)
