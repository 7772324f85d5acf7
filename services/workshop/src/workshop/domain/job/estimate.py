"""Pricing lines, deciding on them, and having their parts.

No line, and so no estimate and no invoice, is below 0: what was charged too much is given back by a
credit note, which does not exist yet. What a job may add up to is bounded before it is told.
"""

from collections.abc import Iterable
from datetime import timedelta
from functools import reduce

from kernel.money import divided_half_up
from workshop.domain import bounds
from workshop.domain.bounds import refuse_outside, refuse_sum
from workshop.domain.errors import (
    ApprovalLimitExceeded,
    EstimateOutdated,
    LineAlreadyDecided,
    LineNamedTwice,
    LineNeedsNoParts,
    LineNotPriced,
)
from workshop.domain.job.commands import (
    ApproveLines,
    ConfirmParts,
    DeclineLines,
    DeferLines,
    IssueEstimate,
    LineEstimate,
    ReportPartsShort,
)
from workshop.domain.job.events import (
    EstimatedLine,
    EstimateIssued,
    JobEvent,
    LinesApproved,
    LinesDeclined,
    LinesDeferred,
    PartsConfirmed,
    PartsShort,
)
from workshop.domain.job.facts import ApprovalFacts, EstimateFacts
from workshop.domain.job.lines import find_line, line_to_be_done, priced_line, refuse_more
from workshop.domain.job.state import APPROVED_ONCE, Job, Line, net_of
from workshop.domain.job.values import LineState, PartNeed
from workshop.domain.values import NO_LIMIT

MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_PER_HOUR = timedelta(hours=1) // MICROSECOND


def issue_estimate(command: IssueEstimate, job: Job, facts: EstimateFacts) -> list[JobEvent]:
    """Below the threshold nobody has to say yes; at the threshold somebody has."""
    lines = _priced(command, job, facts.labour_rate_minor)
    issued = EstimateIssued(job.estimate_version + 1, facts.currency, lines)
    after = reduce(priced_line, lines, job)
    refuse_more(after)
    refuse_sum(net_of(after.lines), bounds.MOST_NET_MINOR, facts.currency)
    if after.estimated_minor >= facts.threshold_minor:
        return [issued]
    waiting = (line.line for line in after.visit_lines if line.priced and _is_undecided(line))
    approved = LinesApproved(
        tuple(waiting),
        issued.estimate_version,
        automatic=True,
        limit_minor=facts.threshold_minor,
    )
    return [issued, approved]


def approve(command: ApproveLines, job: Job, facts: ApprovalFacts) -> list[JobEvent]:
    lines = _undecided(command, job)
    unpriced = [line.line for line in lines if not line.priced]
    if unpriced:
        raise LineNotPriced(
            f"line {unpriced[0]} has no price yet: estimate it first", line=str(unpriced[0])
        )
    limit = _refuse_beyond_limit(lines, job, facts)
    return [
        LinesApproved(_numbers(lines), job.estimate_version, automatic=False, limit_minor=limit)
    ]


def decline(command: DeclineLines, job: Job, facts: None) -> list[JobEvent]:
    return [LinesDeclined(_numbers(_undecided(command, job)), job.estimate_version)]


def defer(command: DeferLines, job: Job, facts: None) -> list[JobEvent]:
    return [LinesDeferred(_numbers(_undecided(command, job)), job.estimate_version)]


def confirm_parts(command: ConfirmParts, job: Job, facts: None) -> list[JobEvent]:
    """Parts that were confirmed before are not confirmed again."""
    named = [line_to_be_done(job, number) for number in dict.fromkeys(command.lines)]
    waiting = [line for line in named or job.visit_lines if line.waits_for_parts]
    return [PartsConfirmed(_numbers(waiting))] if waiting else []


def report_parts_short(command: ReportPartsShort, job: Job, facts: None) -> list[JobEvent]:
    lines = [line_to_be_done(job, number) for number in dict.fromkeys(command.lines)]
    without = [line.line for line in lines if not line.parts]
    if without:
        raise LineNeedsNoParts(f"line {without[0]} needs no parts", line=str(without[0]))
    return [PartsShort(_numbers(lines), command.expected_at)]


def labour_price(labour: timedelta, rate_minor: int) -> int:
    return divided_half_up(rate_minor * (labour // MICROSECOND), MICROSECONDS_PER_HOUR)


def parts_price(parts: Iterable[PartNeed]) -> int:
    """Each part rounded for itself, as it stands on the invoice."""
    return sum(divided_half_up(part.quantity_milli * part.unit_price_minor, 1000) for part in parts)


def _priced(command: IssueEstimate, job: Job, rate_minor: int) -> tuple[EstimatedLine, ...]:
    for index, line in enumerate(command.lines):
        _refuse_implausible(line, f"/lines/{index}")
    known = [line.line for line in command.lines if line.line]
    if len(known) > len(set(known)):
        raise LineNamedTwice("a line can be estimated once at a time")
    for number in known:
        _refuse_decided(find_line(job, number), job)
    number = len(job.lines)
    lines = []
    for line in command.lines:
        number += not line.line
        lines.append(_price(line, line.line or number, rate_minor))
    return tuple(lines)


def _refuse_implausible(line: LineEstimate, at: str) -> None:
    seconds = -(-line.labour // bounds.SECOND)  # begun ones count
    most_seconds = bounds.MOST_LABOUR // bounds.SECOND
    refuse_outside(f"{at}/labour", seconds, most_seconds, unit="seconds")
    refuse_outside(f"{at}/feesMinor", line.fees_minor, bounds.MOST_AMOUNT_MINOR, unit="minor units")
    for index, part in enumerate(line.parts):
        _refuse_implausible_part(part, f"{at}/parts/{index}")


def _refuse_implausible_part(part: PartNeed, at: str) -> None:
    quantity, most = part.quantity_milli, bounds.MOST_QUANTITY_MILLI
    refuse_outside(f"{at}/quantityMilli", quantity, most, least=1, unit="thousandths")
    price = part.unit_price_minor
    refuse_outside(f"{at}/unitPriceMinor", price, bounds.MOST_AMOUNT_MINOR, unit="minor units")


def _price(line: LineEstimate, number: int, rate_minor: int) -> EstimatedLine:
    return EstimatedLine(
        line=number,
        code=line.code,
        description=line.description,
        labour=line.labour,
        labour_minor=labour_price(line.labour, rate_minor),
        parts=line.parts,
        parts_minor=parts_price(line.parts),
        fees_minor=line.fees_minor,
        certification=line.certification,
    )


def _undecided(command: ApproveLines | DeclineLines | DeferLines, job: Job) -> list[Line]:
    """The lines that the command decides on, seen on the estimate that counts."""
    if command.estimate_version != job.estimate_version:
        raise EstimateOutdated(
            f"the estimate is at version {job.estimate_version}, "
            f"you saw version {command.estimate_version}",
            estimate_version=str(job.estimate_version),
        )
    lines = [find_line(job, number) for number in dict.fromkeys(command.lines)]
    for line in lines:
        _refuse_decided(line, job)
    return lines


def _refuse_decided(line: Line, job: Job) -> None:
    if not _is_undecided(line):
        raise LineAlreadyDecided(
            f"line {line.line} is {line.state.lower()} already",
            line=str(line.line),
            line_state=line.state,
        )


def _refuse_beyond_limit(lines: list[Line], job: Job, facts: ApprovalFacts) -> int:
    """The limit is for the visit as a whole: no splitting of one big yes into small ones."""
    approved = (line for line in job.visit_lines if line.state in APPROVED_ONCE)
    total = net_of(approved) + net_of(lines)
    limit = facts.limit_minor
    if limit is None:
        raise ApprovalLimitExceeded(
            f"none of your roles may approve {job.currency}",
            total_minor=str(total),
            currency=job.currency,
        )
    if limit != NO_LIMIT and total > limit:
        raise ApprovalLimitExceeded(
            f"with these lines {total} {job.currency} are approved, in minor units; "
            f"you may approve {limit}",
            total_minor=str(total),
            limit_minor=str(limit),
            currency=job.currency,
        )
    return limit


def _is_undecided(line: Line) -> bool:
    return line.state is LineState.PROPOSED


def _numbers(lines: Iterable[Line]) -> tuple[int, ...]:
    return tuple(line.line for line in lines)
