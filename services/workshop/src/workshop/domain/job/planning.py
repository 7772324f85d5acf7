"""Who, by when, and in which bay."""

from workshop.domain.errors import (
    BayAlreadyBooked,
    BayNotBooked,
    BayNotFound,
    BayRetired,
    NotInABay,
    SiteClosed,
    SlotInvalid,
)
from workshop.domain.hours import is_open
from workshop.domain.job.clocks import refuse_running
from workshop.domain.job.commands import (
    AssignTechnician,
    BookBay,
    LeaveBay,
    PromiseCompletion,
    ReleaseBay,
    RescheduleBay,
)
from workshop.domain.job.events import (
    BayBooked,
    BayLeft,
    BayReleased,
    BayRescheduled,
    CompletionPromised,
    JobEvent,
    TechnicianAssigned,
)
from workshop.domain.job.facts import SiteFacts, TechnicianFacts
from workshop.domain.job.qualification import refuse_absent
from workshop.domain.job.state import Job
from workshop.domain.values import BayId, Timeslot


def assign(command: AssignTechnician, job: Job, facts: TechnicianFacts) -> list[JobEvent]:
    if command.technician is not None:
        refuse_absent(command.technician, facts)
    return [TechnicianAssigned(command.technician)]


def promise(command: PromiseCompletion, job: Job, facts: None) -> list[JobEvent]:
    return [CompletionPromised(command.promised_at)]


def book(command: BookBay, job: Job, facts: SiteFacts) -> list[JobEvent]:
    if job.booking is not None:
        raise BayAlreadyBooked(
            "a bay is booked already: reschedule it", bay=f"bays/{job.booking.bay}"
        )
    _refuse_slot(command.bay, command.slot, facts)
    return [BayBooked(command.bay, command.slot)]


def reschedule(command: RescheduleBay, job: Job, facts: SiteFacts) -> list[JobEvent]:
    if job.booking is None:
        raise BayNotBooked("no bay is booked")
    if job.bay not in {None, command.bay}:
        raise SlotInvalid("the vehicle stands in its bay: only the time can change")
    _refuse_slot(command.bay, command.slot, facts)
    return [BayRescheduled(command.bay, command.slot)]


def release_bay(command: ReleaseBay, job: Job, facts: None) -> list[JobEvent]:
    if job.booking is None:
        raise BayNotBooked("no bay is booked")
    return [BayReleased()]


def leave_bay(command: LeaveBay, job: Job, facts: None) -> list[JobEvent]:
    if job.bay is None:
        raise NotInABay("the vehicle stands in no bay")
    refuse_running(job)
    return [BayLeft()]


def booked_from_start(bay: BayId, stay: Timeslot, job: Job, facts: SiteFacts) -> list[JobEvent]:
    """What must be booked before work starts: nothing, where the booking covers the stay.

    A booking outlasts the retirement of its bay, and opening hours: whoever starts is there.
    """
    _refuse_empty(stay)
    booked = job.booking is not None and job.booking.bay == bay
    _refuse_bay(bay, facts, retired_too=booked)
    if job.booking is None:
        return [BayBooked(bay, stay)]
    if booked and job.booking.slot.covers(stay):
        return []
    return [BayRescheduled(bay, stay)]


def _refuse_slot(bay: BayId, slot: Timeslot, facts: SiteFacts) -> None:
    _refuse_empty(slot)
    _refuse_bay(bay, facts)
    if not is_open(facts.hours, facts.zone, slot):
        raise SiteClosed("the site is closed at the start or at the end of that time")


def _refuse_empty(slot: Timeslot) -> None:
    if slot.end <= slot.start:
        raise SlotInvalid("a slot ends after it starts")


def _refuse_bay(bay: BayId, facts: SiteFacts, *, retired_too: bool = False) -> None:
    found = next((each for each in facts.bays if each.id == bay), None)
    if found is None:
        raise BayNotFound("the site of the job has no such bay", bay=f"bays/{bay}")
    if found.retired and not retired_too:
        raise BayRetired(f"bay {found.label} is not used any more", bay=f"bays/{bay}")
