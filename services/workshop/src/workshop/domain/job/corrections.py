"""Clocks and readings put right afterwards, with a reason; nothing is edited.

A correction occurs when what it corrects occurred, so a fold in the order of occurrence may meet
it first. It is kept beside what it corrects, and both orders come to the same state.
"""

from collections.abc import Hashable
from dataclasses import replace

from kernel.units import Distance
from workshop.domain.errors import (
    ClockStillRunning,
    LabourNotFound,
    LabourOverlaps,
    MeterNotRead,
    MeterWentBackwards,
    SlotInvalid,
)
from workshop.domain.job.commands import CorrectLabour, CorrectMeter
from workshop.domain.job.events import Correction, JobEvent, LabourCorrected, MeterCorrected
from workshop.domain.job.state import Job, Labour
from workshop.domain.job.values import MeterKind


def correct_labour(command: CorrectLabour, job: Job, facts: None) -> list[JobEvent]:
    clock = next((each for each in job.labour if each.labour == command.labour), None)
    if clock is None:
        raise LabourNotFound(
            f"job {job.number} has no clock {command.labour}", labour=str(command.labour)
        )
    if clock.stopped_at is None:
        raise ClockStillRunning(
            f"clock {clock.labour} still runs: stop it first",
            labour=str(clock.labour),
            technician=f"technicians/{clock.technician}",
        )
    if not command.started_at < command.stopped_at <= command.at:
        raise SlotInvalid("a clock stops after it starts, and not in the future")
    _refuse_overlap(command, clock, job)
    correction = LabourCorrected(
        command.labour, command.started_at, command.stopped_at, command.reason, revision=0
    )
    return [replace(correction, revision=_revision(correction, job))]


def correct_meter(command: CorrectMeter, job: Job, facts: None) -> list[JobEvent]:
    meters = {MeterKind.IN: job.meter_in, MeterKind.OUT: job.meter_out}
    if meters[command.kind] is None:
        raise MeterNotRead(f"the meter was not read yet on visit {job.visit}", kind=command.kind)
    meters[command.kind] = command.odometer
    refuse_backwards(earlier=meters[MeterKind.IN], later=meters[MeterKind.OUT])
    read_at = min(command.read_at or command.at, command.at)
    correction = MeterCorrected(
        command.kind, command.odometer, read_at, command.reason, job.visit, revision=0
    )
    return [replace(correction, revision=_revision(correction, job))]


def refuse_backwards(*, earlier: Distance | None, later: Distance | None) -> None:
    if earlier and later and later.metres < earlier.metres:
        raise MeterWentBackwards(
            f"the meter went back from {earlier.metres} to {later.metres} metres",
            earlier_metres=str(earlier.metres),
            later_metres=str(later.metres),
        )


def corrected(job: Job, event: Correction) -> Job:
    if event.revision < _last_revision(event, job):
        return job
    others = (each for each in job.corrections if _subject(each) != _subject(event))
    counted = replace(job, corrections=frozenset({*others, event}))
    if isinstance(event, LabourCorrected):
        clocks = tuple(corrected_clock(counted, clock) for clock in job.labour)
        return replace(counted, labour=clocks)
    if event.visit != job.visit:
        return counted
    return replace(
        counted,
        meter_in=job.meter_in and corrected_meter(counted, MeterKind.IN, job.meter_in),
        meter_out=job.meter_out and corrected_meter(counted, MeterKind.OUT, job.meter_out),
    )


def corrected_clock(job: Job, clock: Labour) -> Labour:
    """As started, unless it was put right."""
    for each in job.corrections:
        if isinstance(each, LabourCorrected) and each.labour == clock.labour:
            return replace(
                clock, started_at=each.started_at, stopped_at=each.stopped_at, corrected=True
            )
    return clock


def corrected_meter(job: Job, kind: MeterKind, meter: Distance) -> Distance:
    """As read on this visit, unless it was put right."""
    for each in job.corrections:
        if isinstance(each, MeterCorrected) and (each.kind, each.visit) == (kind, job.visit):
            return each.meter
    return meter


def _refuse_overlap(command: CorrectLabour, corrected: Labour, job: Job) -> None:
    for clock in job.labour:
        if clock.technician != corrected.technician or clock.labour == corrected.labour:
            continue
        ends_before = clock.stopped_at is not None and clock.stopped_at <= command.started_at
        if not ends_before and clock.started_at < command.stopped_at:
            raise LabourOverlaps(
                f"it would overlap clock {clock.labour} of the same technician",
                labour=str(clock.labour),
            )


def _subject(correction: Correction) -> Hashable:
    """What only one correction counts for."""
    if isinstance(correction, LabourCorrected):
        return correction.labour
    return correction.kind, correction.visit


def _last_revision(correction: Correction, job: Job) -> int:
    same = (each for each in job.corrections if _subject(each) == _subject(correction))
    return next((each.revision for each in same), 0)


def _revision(correction: Correction, job: Job) -> int:
    return _last_revision(correction, job) + 1
