"""Whatever the contract lets through and a rule accepts can be told, shown, listed and exported.

Requests are made of the contract alone: each field at its bounds, between them, or as things stand.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from assembly.rows import plain
from bayline.workshop.v1 import workshop_service_pb2 as pb
from eventstore.store import Metadata
from kernel.errors import DomainError
from runtime.grpc import LARGEST_ANSWER
from runtime.identity import Caller
from runtime.validation import LARGEST_SECONDS, NUMBERS, violations
from services.workshop.tests.application.people import (
    ANNA,
    BERLIN,
    LONG_AGO,
    NOON,
    TENANT,
    TRUCK,
    UNTIL_READY,
    Person,
    Workshop,
    started,
    until_released,
)
from transcoding.descriptors import field_rules, is_output_only, is_required
from transcoding.json import encoder
from workshop.adapters import codec, tables
from workshop.application.ports import Known
from workshop.application.projections import job_view
from workshop.application.queries import JobSummary
from workshop.application.streams import read_job
from workshop.domain.job.allowed import ALLOWED
from workshop.domain.job.claims import claims
from workshop.domain.job.commands import ApproveLines, CompleteLine, DeferLines, IssueEstimate
from workshop.domain.job.decider import DECISIONS
from workshop.domain.job.state import Job
from workshop.domain.job.values import LineState
from workshop.domain.site import (
    AddBay,
    RenameSite,
    RetireBay,
    SetLabourRate,
    SetOpeningHours,
    SetTaxRates,
)
from workshop.domain.tenant import (
    SetApprovalLimits,
    SetApprovalThreshold,
    SetDuplicateRule,
    SetReworkWindow,
)
from workshop.domain.values import JobId
from workshop.domain.words import describe

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

ON_JOB = tuple(kind for kind in DECISIONS if ALLOWED[kind].verb)
ON_SITE = (SetLabourRate, SetTaxRates, SetOpeningHours, AddBay, RetireBay, RenameSite)
ON_SETTINGS = (SetApprovalLimits, SetApprovalThreshold, SetReworkWindow, SetDuplicateRule)
OFTEN = (IssueEstimate, ApproveLines, DeferLines, CompleteLine)
"""What money and size come of."""
COMMANDS = {kind: codec.Command(kind) for kind in (*ON_JOB, *ON_SITE, *ON_SETTINGS)}
ANYONE = Caller("anyone", TENANT, roles=frozenset(), sites=frozenset(), technician="")
BOSS = Person(roles=("fleet_manager",))
EMPTY = frozenset({"request_id", "etag", "occurred_at"})
FIRST, LAST = LARGEST_SECONDS["google.protobuf.Timestamp"]
INT8 = range(-(2**63), 2**63)
EXACT = 2**53  # what a browser counts to
LARGEST_JOB = 4 * 1024 * 1024  # what any gRPC client takes
WIDEST = "\N{AUTOMOBILE}"


@dataclass(frozen=True)
class Desk:
    """Makes requests of fields, and of what there is."""

    workshop: Workshop
    job_id: JobId
    job: Job
    draw: Draw

    def request(self, kind: type) -> Message:
        message: Message = getattr(pb, f"{kind.__name__}Request")()
        self.fill(message)
        return message

    def fill(self, message: Any) -> None:
        for field in message.DESCRIPTOR.fields:
            if field.name in EMPTY or is_output_only(field):
                continue
            if field.is_repeated:
                self.fill_list(message, field)
            elif is_required(field) or self.draw(st.booleans()):
                self.fill_one(message, field)

    def fill_one(self, message: Message, field: FieldDescriptor) -> None:
        if field.message_type is None:
            setattr(message, field.name, self.draw(self.values(field)))
            return
        inner = getattr(message, field.name)
        inner.SetInParent()
        self.fill_message(inner, field)

    def fill_message(self, inner: Any, field: FieldDescriptor) -> None:
        name = inner.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp":
            inner.CopyFrom(self.draw(st.sampled_from(times())))
        elif name == "google.protobuf.Duration":
            inner.seconds = self.draw(between(field))
        else:
            self.fill(inner)

    def fill_list(self, message: Message, field: FieldDescriptor) -> None:
        """Few that differ, or as many as there may be that do not."""
        rules, elements = field_rules(field), getattr(message, field.name)
        number = self.draw(
            st.sampled_from([rules.min_items, 2, rules.max_items // 5, rules.max_items])
        )
        if field.message_type is None:
            known = self.known(field)
            value = st.sampled_from(known) if known else self.values(field)
            elements.extend(self.draw(st.lists(value, min_size=1, max_size=max(1, min(number, 3)))))
            return
        for _ in range(min(number, self.draw(st.sampled_from([1, 2])))):
            self.fill_message(elements.add(), field)
        self.repeat(elements, number - len(elements))

    def repeat(self, elements: Any, times: int) -> None:
        """A line that is new can be estimated often, one that there is cannot."""
        if times > 0 and elements:
            again = type(elements[-1]).FromString(elements[-1].SerializeToString())
            if "line" in again.DESCRIPTOR.fields_by_name:
                again.ClearField("line")
            elements.extend([again] * times)

    def known(self, field: FieldDescriptor) -> Sequence[Any]:
        there = {"jobs": self.job_id, "sites": BERLIN, "technicians": ANNA, "vehicles": TRUCK}
        if (collection := field_rules(field).resource) in there:
            return [f"{collection}/{there[collection]}"]
        lines = [line.line for line in self.job.visit_lines]
        of_name: dict[str, list[Any]] = {
            "line": [0, *lines],
            "lines": lines,
            "labour": [clock.labour for clock in self.job.labour],
            "estimate_version": [self.job.estimate_version or 1],
            "bay": [f"bays/{bay.id}" for bay in self.workshop.site.bays],
            "currency": ["EUR", "JPY"],
            "role": ["service_manager", "admin"],
        }
        return of_name.get(field.name, [])

    def values(self, field: FieldDescriptor) -> st.SearchStrategy[Any]:
        if known := self.known(field):
            return st.sampled_from(known)
        if field.enum_type is not None:
            return st.sampled_from([each.number for each in field.enum_type.values][1:])
        if field.cpp_type in NUMBERS:
            return between(field)
        return texts(field) if field.type == FieldDescriptor.TYPE_STRING else st.booleans()


def between(field: FieldDescriptor) -> st.SearchStrategy[int]:
    rules = field_rules(field)
    least, most = rules.minimum, rules.maximum
    return st.sampled_from([most, least]) | st.integers(least, most)


def texts(field: FieldDescriptor) -> st.SearchStrategy[str]:
    rules = field_rules(field)
    if rules.pattern:
        return st.from_regex(rules.pattern, fullmatch=True)
    return st.sampled_from(["x" * (rules.min_length or 1), WIDEST * rules.max_length, "%s\n\r"])


def times() -> list[Timestamp]:
    near = [NOON + timedelta(hours=hours) for hours in (-2, -1, 0, 1, 2)]
    found = [Timestamp(seconds=FIRST), Timestamp(seconds=LAST, nanos=999_999_000)]
    for at in (*near, LONG_AGO):
        stamp = Timestamp()
        stamp.FromDatetime(at)
        found.append(stamp)
    return found


STAGES: Mapping[str, Callable[[Workshop], Collection[Any]]] = {
    "requested": lambda _: (),
    "diagnosed": lambda _: UNTIL_READY[:3],
    "estimated": lambda _: UNTIL_READY[:4],
    "ready": lambda _: UNTIL_READY,
    "at work": lambda workshop: (*UNTIL_READY, started(workshop)),
    "released": until_released,
}


@settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate],  # what it finds is told as found: to shrink takes minutes
)
@given(st.data(), st.sampled_from(list(STAGES)))
def test_what_is_accepted_can_be_read(data: st.DataObject, stage: str) -> None:
    asyncio.run(_ask_and_read(data.draw, stage))


async def _ask_and_read(draw: Draw, stage: str) -> None:
    workshop = Workshop()
    await workshop.open()
    job_id = workshop.new_job()
    job = await workshop.after(job_id, workshop.request(), *STAGES[stage](workshop))
    for _ in range(draw(st.integers(1, 12))):
        if await ask(Desk(workshop, job_id, job, draw)):
            job = await read(workshop, job_id)
    await bring_back(workshop, job_id, job)


async def ask(desk: Desk) -> bool:
    """Whether it was accepted."""
    offered = [kind for kind in ON_JOB if ALLOWED[kind].holds(desk.job)]
    offered += [kind for kind in OFTEN if kind in offered for _ in range(8)]
    kind = desk.draw(st.sampled_from([*offered, *ON_SITE, *ON_SETTINGS]))
    request = desk.request(kind)
    if violations(request):
        return False
    metadata = desk.workshop.metadata()
    try:
        command = COMMANDS[kind].read(request, ANYONE, metadata, subject=f"jobs/{desk.job_id}")
        await run(desk, kind, command, metadata)
    except DomainError:
        return False
    return True


async def run(desk: Desk, kind: type, command: Any, metadata: Metadata) -> None:
    workshop = desk.workshop
    if kind in ON_SITE:
        await workshop.sites.run(command, BERLIN, BOSS, metadata)
    elif kind in ON_SETTINGS:
        await workshop.settings.run(command, BOSS, metadata)
    else:
        await workshop.jobs.run(command, desk.job_id, BOSS, metadata)


async def read(workshop: Workshop, job_id: JobId) -> Job:
    """In each way that there is. Raises what a caller would have met."""
    site = await workshop.site_reader.site(TENANT, BERLIN, BOSS)
    shown(codec.site_message(BERLIN, site), LARGEST_ANSWER // 200)
    shown(codec.settings_message(await workshop.site_reader.settings(TENANT, BOSS)), LARGEST_JOB)
    known = await workshop.reader.job(TENANT, job_id, BOSS)
    shown(codec.job_message(job_id, known, map(str, ALLOWED)), LARGEST_JOB)
    assert tables.job(UUID(job_id), known.version, known.value) is not None
    await told(workshop, job_id)
    listed(job_id, known)
    counted(known.value)
    return known.value


async def told(workshop: Workshop, job_id: JobId) -> None:
    entries, _ = await workshop.reader.history(TENANT, job_id, BOSS)
    shown(pb.JobHistory(entries=map(codec.history_entry, entries)), LARGEST_JOB)
    for recorded in (await workshop.store.read(TENANT, UUID(job_id))).events:
        record = codec.JOB_EVENTS.encode(recorded.event)
        again = codec.JOB_EVENTS.decode(
            codec.JOB_EVENTS.type_of(recorded.event), record.SerializeToString(), recorded.version
        )
        assert describe(again) == describe(recorded.event)


def shown(message: Message, most: int) -> None:
    assert len(message.SerializeToString()) <= most
    encoder(type(message))(message)


def listed(job_id: JobId, known: Known[Job]) -> None:
    view = job_view(known.value, datetime.now(UTC))  # noqa: TID251 -- any time
    for row in (view.row, *view.deferred, *view.returned, *view.clocks):
        assert all(each in INT8 for each in plain(row).values() if isinstance(each, int))
    row = view.row
    summary = JobSummary(
        job_id, row.number, known.value.state, known.version, row.site, row.vehicle, "", "",
        known.value.priority, row.technician, row.promised_at, row.requested_at, row.changed_at,
    )  # fmt: skip
    shown(codec.summary_message(summary), 1000)
    assert all(
        claim.start is None or claim.end is None or claim.start < claim.end
        for claim in claims(known.value)
    )


def counted(job: Job) -> None:
    sums = [line.net_minor for line in job.lines]
    sums += [job.estimated_minor, *(invoice.gross.minor for invoice in job.invoices)]
    assert all(0 <= each < EXACT for each in sums)


async def bring_back(workshop: Workshop, job_id: JobId, job: Job) -> None:
    """What was put off comes back to another job, and is read there."""
    put_off = [line.line for line in job.lines if line.state is LineState.DEFERRED]
    workshop.facts.deferred = [(job_id, line) for line in put_off]
    try:
        await workshop.after(later := workshop.new_job(), workshop.request(TRUCK), *UNTIL_READY[:2])
    except DomainError:
        return
    there = await read(workshop, later)
    assert len(there.lines) == min(len(put_off), 50)
    assert isinstance((await read_job(workshop.store, TENANT, later)).value, Job)
