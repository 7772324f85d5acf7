"""A job at all its bounds fits a message, so whatever happened to it, it is shown."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from bayline.workshop.v1 import job_pb2
from bayline.workshop.v1 import workshop_service_pb2 as pb
from eventstore.store import LARGEST_EVENT, Recorded
from kernel.personal import Personal
from kernel.units import Distance
from runtime.grpc import LARGEST_ANSWER
from services.workshop.tests.domain.stories import RELEASED, job_after
from workshop.adapters import codec
from workshop.application.ports import Known
from workshop.application.reading import LONGEST_HISTORY, Told
from workshop.domain.bounds import (
    MOST_AMOUNT_MINOR,
    MOST_BAYS,
    MOST_CLOCKS,
    MOST_LABOUR,
    MOST_LINES,
    MOST_QUANTITY_MILLI,
    MOST_RETURNED_LINES,
    MOST_RETURNED_PARTS,
)
from workshop.domain.job.allowed import ALLOWED
from workshop.domain.job.events import (
    DiagnosisRecorded,
    InvoiceLine,
    JobEvent,
    ReturnedLine,
    VehicleCheckedIn,
)
from workshop.domain.job.state import Flag, Invoice, Job, Labour, Line
from workshop.domain.job.values import LineState, PartNeed
from workshop.domain.site import Site
from workshop.domain.values import (
    Bay,
    BayId,
    JobId,
    OpeningHours,
    SiteId,
    TechnicianId,
    Weekday,
)
from workshop.domain.words import describe

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

ANY_CLIENT_TAKES = 4 * 1024 * 1024
WIDEST = "\N{AUTOMOBILE}"  # four bytes
ID = "0190a5d2-7c1e-7b3a-9f00-000000000001"
AT = datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
PART = PartNeed(WIDEST * 40, MOST_QUANTITY_MILLI, MOST_AMOUNT_MINOR)
WORDS = Personal(f"jobs/{ID}", WIDEST * 2000)


def largest_line(number: int) -> Line:
    return Line(
        line=number,
        state=LineState.REWORK,
        code="013-001-015",
        description=Personal(f"jobs/{ID}", WIDEST * 500),
        labour=MOST_LABOUR,
        parts=(PART,) * 50,
        fees_minor=MOST_AMOUNT_MINOR,
        certification=WIDEST * 40,
        visit=9_999,
        priced=True,
        parts_confirmed=True,
        from_job=JobId(ID),
        from_line=MOST_LINES,
    )


def largest_job() -> Job:
    clock = Labour(MOST_CLOCKS, TechnicianId(ID), MOST_LINES, AT, AT, corrected=True)
    charge = InvoiceLine(MOST_LINES, *(MOST_AMOUNT_MINOR,) * 3, *(10**6,) * 3, 10**13)
    return replace(
        job_after(*RELEASED),
        complaint=WORDS,
        cause=WORDS,
        correction=WORDS,
        note=WORDS,
        requester="x" * 8000,
        inspector="x" * 8000,
        lines=tuple(largest_line(number + 1) for number in range(MOST_LINES)),
        labour=(clock,) * MOST_CLOCKS,
        flags=(Flag("CERTIFICATION_WAS_REVOKED", f"technicians/{ID}", AT),) * MOST_CLOCKS,
        invoices=(Invoice("BERLIN-2026", 10**9, "EUR", (charge,) * MOST_LINES, AT),),
    )


def test_a_job_at_its_bounds_is_a_message_that_any_client_takes() -> None:
    """Each clock may be of another technician, whose certificate was revoked."""
    message = codec.job_message(JobId(ID), Known(largest_job(), 10_000), map(str, ALLOWED))

    assert 2_500_000 < message.ByteSize() < ANY_CLIENT_TAKES


def test_a_page_of_history_at_its_bounds_is_a_message_that_any_client_takes() -> None:
    event: JobEvent = DiagnosisRecorded(WORDS, WORDS, WORDS)
    recorded = Recorded(10_000, event, AT, AT, UUID(ID), b"")
    entry = codec.history_entry(Told(recorded, describe(event)))

    message = pb.JobHistory(entries=[entry] * LONGEST_HISTORY)

    assert 2_000_000 < message.ByteSize() < ANY_CLIENT_TAKES


def test_a_page_of_sites_at_their_bounds_is_an_answer_that_a_service_takes() -> None:
    bays = tuple(Bay(BayId(ID), WIDEST * 40, retired=True) for _ in range(MOST_BAYS))
    hours = (OpeningHours(Weekday.SUNDAY, "00:00", "23:59"),) * 14
    site = Site(WIDEST * 100, "BERLIN", "Z" * 60, "EUR", 10**10, hours=hours, bays=bays)
    message = codec.site_message(SiteId(ID), Known(site, 10_000))

    assert 200 * (message.ByteSize() + 10) < LARGEST_ANSWER


def test_all_lines_that_may_come_back_at_once_are_one_event() -> None:
    """So a check-in is never refused because of what was put off before."""
    line = largest_line(MOST_LINES)
    parts = (PART,) * (MOST_RETURNED_PARTS // MOST_RETURNED_LINES)
    returned = ReturnedLine(
        line.line,
        JobId(ID),
        line.from_line,
        line.code,
        line.labour,
        parts,
        line.fees_minor,
        line.certification,
    )
    event = VehicleCheckedIn(Distance(10**11), (returned,) * MOST_RETURNED_LINES)

    assert LARGEST_EVENT // 2 < codec.JOB_EVENTS.encode(event).ByteSize() < LARGEST_EVENT


@pytest.mark.integration
async def test_a_job_at_its_bound_is_got_and_one_line_more_is_refused(shop: "Shop") -> None:
    """2,200 long lines were taken once, and the job was never seen again."""
    job = await shop.planned((await shop.site()).name)
    job = await shop.step(job, "CheckInVehicle", odometer=shop.reading(1))
    job = await shop.step(job, "RecordDiagnosis", cause="Worn")
    parts = [job_pb2.PartNeed(part_number=WIDEST * 40, quantity_milli=10**9)] * 50
    line = job_pb2.LineEstimate(code="013-001-015", description=WIDEST * 500, parts=parts)

    too_large = await shop.refusal("IssueEstimate", name=job.name, lines=[line] * 25)
    for lines in (*(14,) * 14, 4):
        job = await shop.step(job, "IssueEstimate", lines=[line] * lines)
    too_many = await shop.refusal("IssueEstimate", name=job.name, lines=[line])
    found = (await shop.ask("GetJob", name=job.name)).message

    assert (too_large.reason, too_many.reason) == ("EVENT_TOO_LARGE", "TOO_MANY_LINES")
    assert too_many.facts == {"lines": "201", "most": "200"}
    assert found == job
    assert (len(found.lines), found.lines[-1].description) == (MOST_LINES, WIDEST * 500)


@pytest.mark.integration
async def test_history_is_told_page_by_page(shop: "Shop") -> None:
    job = await shop.planned((await shop.site()).name)
    job = await shop.step(job, "CheckInVehicle", odometer=shop.reading(1))
    asked: dict[str, Any] = {"name": job.name, "page_size": 2}

    first = (await shop.ask("GetJobHistory", **asked)).message
    last = (await shop.ask("GetJobHistory", **asked, page_token=first.next_page_token)).message

    versions = [[entry.version for entry in page.entries] for page in (first, last)]
    assert versions == [[1, 2], [3]]
    assert last.next_page_token == ""
