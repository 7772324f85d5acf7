"""The vehicle leaves, the invoice is written, the job is history; or it comes back.

An invoice is never below 0: there is no credit note yet, by which alone money is given back.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from kernel.money import divided_half_up
from workshop.domain.bounds import MOST_NET_MINOR, refuse_sum
from workshop.domain.errors import NothingToInvoice
from workshop.domain.job.clocks import all_stopped
from workshop.domain.job.commands import (
    CancelJob,
    CloseJob,
    FlagJob,
    InvoiceJob,
    ReleaseVehicle,
    ReopenJob,
)
from workshop.domain.job.corrections import refuse_backwards
from workshop.domain.job.events import (
    InvoiceLine,
    JobCancelled,
    JobClosed,
    JobEvent,
    JobFlagged,
    JobInvoiced,
    JobReopened,
    VehicleReleased,
)
from workshop.domain.job.facts import InvoiceFacts, ReopenFacts
from workshop.domain.job.state import Job, Line, net_of
from workshop.domain.job.values import LineState
from workshop.domain.values import TaxRates

MILLION = 1_000_000


def release(command: ReleaseVehicle, job: Job, facts: None) -> list[JobEvent]:
    refuse_backwards(earlier=job.meter_in, later=command.odometer)
    return [VehicleReleased(command.odometer)]


def invoice(command: InvoiceJob, job: Job, facts: InvoiceFacts) -> list[JobEvent]:
    """Charges what is done and was not charged before, at the tax rates of today."""
    if not job.uninvoiced:
        raise NothingToInvoice("no line is done that was not invoiced before")
    lines = tuple(_charged(line, facts.tax_rates) for line in job.uninvoiced)
    total = net_of(job.uninvoiced) + sum(line.tax_minor for line in lines)
    refuse_sum(total, 2 * MOST_NET_MINOR, facts.currency)
    return [JobInvoiced(facts.series, facts.sequence, facts.currency, lines, command.at)]


def invoice_series(site_code: str, zone: str, at: datetime) -> str:
    """One series per site and year of its own calendar."""
    return f"{site_code}-{at.astimezone(ZoneInfo(zone)).year}"


def close(command: CloseJob, job: Job, facts: None) -> list[JobEvent]:
    return [JobClosed()]


def cancel(command: CancelJob, job: Job, facts: None) -> list[JobEvent]:
    return [*all_stopped(job, command.at), JobCancelled(command.note)]


def reopen(command: ReopenJob, job: Job, facts: ReopenFacts) -> list[JobEvent]:
    refuse_backwards(earlier=job.meter_out or job.meter_in, later=command.odometer)
    return [
        JobReopened(command.note, command.odometer, _is_comeback(command, job, facts), command.code)
    ]


def flag(command: FlagJob, job: Job, facts: None) -> list[JobEvent]:
    """What is flagged already is not flagged again."""
    if any((each.reason, each.about) == (command.reason, command.about) for each in job.flags):
        return []
    return [JobFlagged(command.reason, command.about, command.at)]


def _charged(line: Line, rates: TaxRates) -> InvoiceLine:
    """Labour, parts and fees are taxed and rounded each for itself."""
    taxes = (
        divided_half_up(line.labour_minor * rates.labour_ppm, MILLION),
        divided_half_up(line.parts_minor * rates.parts_ppm, MILLION),
        divided_half_up(line.fees_minor * rates.fees_ppm, MILLION),
    )
    return InvoiceLine(
        line=line.line,
        labour_minor=line.labour_minor,
        parts_minor=line.parts_minor,
        fees_minor=line.fees_minor,
        labour_tax_ppm=rates.labour_ppm,
        parts_tax_ppm=rates.parts_ppm,
        fees_tax_ppm=rates.fees_ppm,
        tax_minor=sum(taxes),
    )


def _is_comeback(command: ReopenJob, job: Job, facts: ReopenFacts) -> bool:
    """The same task, within the time that a repair must hold."""
    done = {line.code for line in job.lines if line.state is LineState.DONE}
    if job.completed_at is None or command.code not in done:
        return False
    return command.at - job.completed_at <= facts.rework_window
