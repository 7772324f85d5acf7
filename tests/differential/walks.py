"""Jobs that go any way a job can go: whatever is allowed next is asked for, by chance."""

import random
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, TypeAlias, get_type_hints

from kernel.errors import DomainError
from kernel.personal import Personal
from kernel.units import Distance, DistanceUnit
from workshop.domain.job import commands, facts
from workshop.domain.job.allowed import ALLOWED
from workshop.domain.job.decider import DECISIONS, decide
from workshop.domain.job.events import JobEvent
from workshop.domain.job.evolve import evolve
from workshop.domain.job.state import NoJob
from workshop.domain.job.values import JobSource, JobState, PartNeed
from workshop.domain.values import (
    Bay,
    BayId,
    DuplicateRule,
    JobId,
    SiteId,
    TaxRates,
    TechnicianId,
    Timeslot,
    VehicleId,
)

MONDAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
ID = "0190a5d2-7c1e-7b3a-9f00-{:012d}"
JOB, EARLIER_JOB = JobId(ID.format(1)), JobId(ID.format(2))
SITE, VEHICLE, BAY = SiteId(ID.format(3)), VehicleId(ID.format(4)), BayId(ID.format(5))
TECHNICIANS = tuple(TechnicianId(ID.format(number)) for number in range(10, 13))
SAID, AN_HOUR = Personal(f"jobs/{JOB}", "said"), timedelta(hours=1)
AT_SITE = facts.SiteFacts((Bay(BAY, "1"),), (), "UTC")
KNOWN = facts.TechnicianFacts(known=True)
WEIGHTS: Mapping[type[commands.JobCommand], float] = {
    commands.CancelJob: 0.02,
    commands.RejectJob: 0.1,
    commands.ReportAdditionalWork: 0.1,
    commands.IssueEstimate: 0.5,
    commands.ApproveLines: 3,
    commands.ConfirmParts: 3,
    commands.StartWork: 3,
    commands.CompleteLine: 5,
    commands.CompleteWork: 9,
    commands.PassQc: 3,
    commands.ReleaseVehicle: 3,
    commands.InvoiceJob: 3,
}
"""Otherwise most jobs would be given up before anything has come of them."""


class Walk:
    """One job. `told` is what happened, and when; `job` is what the workshop makes of it."""

    def __init__(self, seed: int, steps: int = 150) -> None:
        self.chance, self.now, self.metres = random.Random(seed), MONDAY, 100_000
        self.told: list[tuple[datetime, JobEvent]] = []
        self.states: set[JobState] = set()
        self.job: Any = NoJob()
        self.ask(
            commands.RequestJob(SITE, VEHICLE, JobSource.DRIVER, SAID, "", "mia", self.later()),
            facts.RequestFacts(JOB, "J-1042", True, True, DuplicateRule.NONE),
        )
        for _ in range(self.chance.randint(1, steps)):
            self.step()

    def step(self) -> None:
        """Refusals are no part of a history."""
        kinds = [kind for kind in DECISIONS if self.allows(kind)]
        [kind] = self.chance.choices(kinds, [WEIGHTS.get(each, 1) for each in kinds])
        self.later()
        try:
            self.ask(self.command(kind), FACTS.get(kind, _nothing)(self))
        except DomainError:
            return

    def allows(self, kind: type[commands.JobCommand]) -> bool:
        rule = ALLOWED[kind]
        return rule.holds(self.job) and rule.offered(self.job)

    def ask(self, command: commands.JobCommand, known: facts.JobFacts) -> None:
        for event in decide(command, self.job, known):
            self.job = evolve(self.job, event)
            self.told.append((self.now, event))
        self.states.add(self.job.state)

    def later(self) -> datetime:
        self.now += timedelta(minutes=self.chance.randint(1, 90))
        return self.now

    def command(self, kind: type[commands.JobCommand]) -> commands.JobCommand:
        hints = get_type_hints(kind)
        values = {each.name: self.value(each.name, hints[each.name]) for each in fields(kind)}
        return kind(**self.fitting(kind, values))

    def fitting(self, kind: type[commands.JobCommand], values: dict[str, Any]) -> dict[str, Any]:
        """What a name alone does not tell."""
        if kind is commands.IssueEstimate:
            values["lines"] = self.estimates()
        if kind is commands.CorrectLabour:
            values |= self.corrected_times(values["labour"])
        return values

    def value(self, name: str, hint: Any) -> Any:
        if isinstance(hint, type) and issubclass(hint, Enum):
            return self.chance.choice(list(hint))
        return VALUES.get(name, _word if hint is str else _said)(self)

    def line(self) -> int:
        numbers: list[int] = [line.line for line in self.job.visit_lines]
        return self.chance.choice([0, *numbers])

    def lines(self) -> tuple[int, ...]:
        numbers = [line.line for line in self.job.visit_lines]
        return tuple(self.chance.sample(numbers, min(len(numbers), self.chance.randint(1, 3))))

    def labour(self) -> int:
        return self.chance.randint(1, len(self.job.labour) + 1)

    def code(self) -> str:
        return f"013-{self.chance.randint(1, 5):03d}"

    def driven(self) -> Distance:
        self.metres += self.chance.randint(0, 1000)
        return Distance(self.metres, DistanceUnit.KILOMETRE)

    def estimates(self) -> tuple[commands.LineEstimate, ...]:
        """Of lines that wait for one, and of new ones."""
        waiting = [line.line for line in self.job.visit_lines if not line.priced]
        return tuple(
            self.estimate(number) for number in [*waiting, *[0] * self.chance.randint(1, 2)]
        )

    def estimate(self, number: int) -> commands.LineEstimate:
        parts = (PartNeed("BRK-PAD-221", 2000, 4450),) if self.chance.random() < 0.4 else ()
        return commands.LineEstimate(number, self.code(), SAID, AN_HOUR, parts, 500, "")

    def corrected_times(self, labour: int) -> dict[str, datetime]:
        started = next(
            (clock.started_at for clock in self.job.labour if clock.labour == labour), self.now
        )
        start = started - timedelta(minutes=self.chance.randint(0, 5))
        return {
            "started_at": start,
            "stopped_at": start + timedelta(minutes=self.chance.randint(1, 9)),
        }

    def deferred(self) -> tuple[facts.DeferredLine, ...]:
        if self.chance.random() < 0.7:
            return ()
        return (facts.DeferredLine(EARLIER_JOB, 1, self.code(), AN_HOUR, (), 0, ""),)


Value: TypeAlias = Callable[[Walk], Any]


def _said(_: Walk) -> Personal:
    return SAID


def _word(_: Walk) -> str:
    return "WORD"


def _nothing(_: Walk) -> None:
    return None


VALUES: Mapping[str, Value] = {
    "at": lambda walk: walk.now,
    "read_at": lambda walk: walk.now,
    "promised_at": lambda walk: walk.now + AN_HOUR,
    "planned_end": lambda walk: walk.now + 4 * AN_HOUR,
    "expected_at": _nothing,
    "slot": lambda walk: Timeslot(walk.now, walk.now + 4 * AN_HOUR),
    "bay": lambda _: BAY,
    "technician": lambda walk: walk.chance.choice(TECHNICIANS),
    "inspector": lambda _: "inga",
    "inspector_technician": _nothing,
    "odometer": Walk.driven,
    "line": Walk.line,
    "lines": Walk.lines,
    "labour": Walk.labour,
    "code": Walk.code,
    "certification": lambda _: "",
    "estimate_version": lambda walk: walk.job.estimate_version,
    "started_at": lambda walk: walk.now,
    "stopped_at": lambda walk: walk.now,
}
FACTS: Mapping[type[commands.JobCommand], Value] = {
    commands.CheckInVehicle: lambda walk: facts.CheckInFacts(walk.deferred()),
    commands.IssueEstimate: lambda walk: facts.EstimateFacts(
        9500, "EUR", walk.chance.choice([0, 100_000])
    ),
    commands.ApproveLines: lambda _: facts.ApprovalFacts(-1),
    commands.AssignTechnician: lambda _: KNOWN,
    commands.StartLabour: lambda _: KNOWN,
    commands.BookBay: lambda _: AT_SITE,
    commands.RescheduleBay: lambda _: AT_SITE,
    commands.StartWork: lambda _: facts.StartFacts(KNOWN, AT_SITE),
    commands.InvoiceJob: lambda walk: facts.InvoiceFacts(
        "BER-2026", walk.chance.randint(1, 999), "EUR", TaxRates(190_000, 190_000, 0)
    ),
    commands.ReopenJob: lambda _: facts.ReopenFacts(timedelta(days=30)),
}
