"""What happens to jobs in the demo: each story is a visit to the workshop, told up to its state."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, TypeAlias

from devstack.api import Api, Refused

BUSY = {"BAY_OCCUPIED", "SLOT_TAKEN", "TECHNICIAN_CLOCKED_ELSEWHERE"}
TRIES = 200
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Trouble:
    """A complaint with the work that cures it."""

    complaint: str
    code: str
    work: str
    part: str = ""
    price_minor: int = 0
    certification: str = ""


TROUBLES = (
    Trouble(
        "Brakes grind when cold",
        "013-001-015",
        "Replace front brake pads",
        "BRK-PAD-221",
        4_450,
        "BRAKES",
    ),
    Trouble(
        "Does not crank on cold mornings",
        "032-001-001",
        "Replace starter motor",
        "STR-24V-06",
        28_900,
    ),
    Trouble("Steering pulls to the right", "015-002-003", "Align front axle"),
    Trouble(
        "Air conditioning blows warm",
        "001-004-002",
        "Refill refrigerant",
        "R134A-KG",
        2_890,
        "AIR_CONDITIONING",
    ),
    Trouble(
        "Tyre pressure warning stays on",
        "017-001-006",
        "Replace pressure sensor",
        "TPMS-433",
        3_990,
    ),
    Trouble("Oil service is due", "045-000-001", "Change oil and filter", "OIL-5W30-L", 790),
)


@dataclass(slots=True)
class Workshop:
    """A site with its people; gives out vehicles and technicians in turn."""

    site: str
    vehicles: Sequence[str]
    technicians: Sequence[str]
    bays: Sequence[str]
    people: Mapping[str, Api]
    unit: str
    key: Callable[[], str]
    clocks_that_may_run_on: int
    turn: "count[int]" = field(default_factory=count)

    def visit(self, random: Random) -> "Visit":
        vehicle = self.vehicles[next(self.turn) % len(self.vehicles)]
        return Visit(
            self, vehicle, random, random.choice(TROUBLES), random.randrange(20_000, 480_000)
        )


@dataclass(slots=True)
class Visit:
    """One job. Each command is given by whoever gives it in a real workshop."""

    workshop: Workshop
    vehicle: str
    random: Random
    trouble: Trouble
    meter: int
    technician: str = ""
    job: Any = None

    async def command(self, who: str, verb: str, **body: Any) -> None:
        path = f"/v1/{self.job['name']}:{verb}"
        self.job = await self.workshop.people[who].post(path, body, key=self.workshop.key())

    def odometer(self, driven: int = 0) -> dict[str, str]:
        self.meter += driven
        return {"value": str(self.meter), "unit": f"DISTANCE_UNIT_{self.workshop.unit}"}

    def lines(self, *states: str) -> list[int]:
        """Numbers of the job's lines in these states."""
        wanted = {f"LINE_STATE_{state}" for state in states}
        return [line["line"] for line in self.job["lines"] if line["state"] in wanted]

    def line(self, number: int = 0) -> dict[str, Any]:
        """Number 0 cures the trouble and may need a part; the others are small things."""
        labour = f"{self.random.randrange(3, 30) * 360}s"
        if number:
            return {
                "code": "000-001-000",
                "description": "Road test and inspection",
                "labour": labour,
            }
        part = {
            "partNumber": self.trouble.part,
            "quantityMilli": "2000",
            "unitPriceMinor": str(self.trouble.price_minor),
        }
        return {
            "code": self.trouble.code,
            "description": self.trouble.work,
            "labour": labour,
            "parts": [part] if self.trouble.part else [],
            "feesMinor": "500",
            "certification": self.trouble.certification,
        }


Story: TypeAlias = Callable[[Visit], Awaitable[None]]


async def requested(visit: Visit) -> None:
    body = {
        "site": visit.workshop.site,
        "vehicle": visit.vehicle,
        "source": "JOB_SOURCE_DRIVER",
        "complaint": visit.trouble.complaint,
    }
    visit.job = await visit.workshop.people["driver"].post(
        "/v1/jobs", body, key=visit.workshop.key()
    )


async def rejected(visit: Visit) -> None:
    await requested(visit)
    await visit.command("manager", "reject", note="Known and harmless")


async def planned(visit: Visit) -> None:
    await requested(visit)
    priority = visit.random.choice(("SCHEDULED", "NON_SCHEDULED", "EMERGENCY"))
    await visit.command(
        "manager", "triage", priority=f"PRIORITY_{priority}", reason="REPAIR_REASON_DRIVER_REPORT"
    )
    await visit.command(
        "manager", "promise", promisedAt=hours_from_now(visit.random.randrange(4, 72))
    )


async def booked(visit: Visit) -> None:
    await planned(visit)
    start = visit.random.randrange(24, 24 * 28)
    slot = {"start": hours_from_now(start), "end": hours_from_now(start + 2)}
    try:
        await visit.command(
            "manager", "bookBay", bay=visit.random.choice(visit.workshop.bays), slot=slot
        )
    except Refused as refusal:
        if refusal.reason not in BUSY:
            raise


async def checked_in(visit: Visit) -> None:
    await planned(visit)
    await visit.command("manager", "checkIn", odometer=visit.odometer())


async def diagnosed(visit: Visit) -> None:
    await checked_in(visit)
    await visit.command("manager", "recordDiagnosis", cause="Worn beyond its limit")


async def estimated(visit: Visit) -> None:
    """The trouble, a road test, and what an earlier job of the vehicle put off."""
    await diagnosed(visit)
    returned = [{**visit.line(1), "line": number} for number in visit.lines("PROPOSED")]
    lines = [*returned, visit.line(0), visit.line(1)]
    await visit.command("manager", "issueEstimate", lines=lines)


async def decide(visit: Visit, verb: str, lines: Sequence[int]) -> None:
    version = visit.job["estimateVersion"]
    await visit.command("owner", verb, estimateVersion=version, lines=lines)


async def approved(visit: Visit) -> None:
    await estimated(visit)
    await decide(visit, "approveLines", visit.lines("PROPOSED"))


async def declined(visit: Visit) -> None:
    await estimated(visit)
    await decide(visit, "declineLines", visit.lines("PROPOSED"))


async def released_without_work(visit: Visit) -> None:
    await declined(visit)
    await visit.command("manager", "release", odometer=visit.odometer(1))
    await visit.command("manager", "close")


async def short_of_parts(visit: Visit) -> None:
    await approved(visit)
    if visit.trouble.part:
        short = [line["line"] for line in visit.job["lines"] if line["parts"]]
        await visit.command("clerk", "reportPartsShort", lines=short, expectedAt=hours_from_now(48))


async def ready(visit: Visit) -> None:
    await approved(visit)
    if visit.trouble.part:
        await visit.command("clerk", "confirmParts")


async def start_work(visit: Visit) -> None:
    """In any bay that is free, by any technician whose clock stands still; others are busy for a while."""
    for _ in range(TRIES):
        visit.technician = visit.random.choice(visit.workshop.technicians)
        bay = visit.random.choice(visit.workshop.bays)
        try:
            await visit.command(
                "manager",
                "startWork",
                technician=visit.technician,
                bay=bay,
                plannedEnd=hours_from_now(3),
            )
        except Refused as refusal:
            if refusal.reason not in BUSY:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
    raise TimeoutError("no technician or bay became free")


async def rest(visit: Visit) -> None:
    """The clock stops and the vehicle makes room, but for the few that are left at work."""
    if visit.workshop.clocks_that_may_run_on:
        visit.workshop.clocks_that_may_run_on -= 1
        return
    await visit.command("manager", "stopLabour", technician=visit.technician)
    await visit.command("manager", "leaveBay")


async def in_progress(visit: Visit) -> None:
    await ready(visit)
    await start_work(visit)
    await rest(visit)


async def more_was_found(visit: Visit) -> None:
    await ready(visit)
    await start_work(visit)
    await visit.command(
        "manager", "reportAdditionalWork", code="013-001-020", description="Left caliper sticks"
    )
    await visit.command("manager", "hold", reason="HOLD_REASON_APPROVAL")
    await visit.command("manager", "leaveBay")


async def on_hold(visit: Visit) -> None:
    await ready(visit)
    await start_work(visit)
    reason = visit.random.choice(("PARTS", "CUSTOMER", "TOOL", "SUBLET"))
    await visit.command("manager", "hold", reason=f"HOLD_REASON_{reason}", note="Expected tomorrow")
    await visit.command("manager", "leaveBay")


async def finish(visit: Visit) -> None:
    """From a running clock to the quality check."""
    for number in visit.lines("APPROVED", "REWORK"):
        await visit.command("manager", "completeLine", line=number)
    await visit.command(
        "manager",
        "recordDiagnosis",
        cause="Worn beyond its limit",
        correction=visit.trouble.work,
    )
    await visit.command("manager", "stopLabour", technician=visit.technician)
    await visit.command("manager", "completeWork")


async def in_quality_check(visit: Visit) -> None:
    await ready(visit)
    await start_work(visit)
    await finish(visit)


async def completed(visit: Visit) -> None:
    await in_quality_check(visit)
    await visit.command("inspector", "passQc")


async def leave(visit: Visit) -> None:
    await visit.command("manager", "release", odometer=visit.odometer(3))
    await visit.command("manager", "invoice")
    await visit.command("manager", "close")


async def released(visit: Visit) -> None:
    await completed(visit)
    await visit.command("manager", "release", odometer=visit.odometer(3))


async def invoiced(visit: Visit) -> None:
    await released(visit)
    await visit.command("manager", "invoice")


async def closed(visit: Visit) -> None:
    await completed(visit)
    await leave(visit)


async def closed_after_rework(visit: Visit) -> None:
    await in_quality_check(visit)
    sent_back = visit.lines("DONE")[:1]
    await visit.command(
        "inspector", "failQc", lines=sent_back, note="Still noisy on the test drive"
    )
    await start_work(visit)
    await finish(visit)
    await visit.command("inspector", "passQc")
    await leave(visit)


async def closed_after_hold(visit: Visit) -> None:
    await ready(visit)
    await start_work(visit)
    await visit.command("manager", "hold", reason="HOLD_REASON_TOOL")
    await visit.command("manager", "resume")
    for number in visit.lines("APPROVED"):
        await visit.command("manager", "completeLine", line=number)
    await visit.command("manager", "recordDiagnosis", correction=visit.trouble.work)
    await visit.command("manager", "completeWork")
    await visit.command("inspector", "passQc")
    await leave(visit)


async def closed_with_a_deferred_line(visit: Visit) -> None:
    await estimated(visit)
    *first, last = visit.lines("PROPOSED")
    await decide(visit, "approveLines", first)
    await decide(visit, "deferLines", [last])
    if visit.trouble.part:
        await visit.command("clerk", "confirmParts")
    await start_work(visit)
    await finish(visit)
    await visit.command("inspector", "passQc")
    await leave(visit)


async def reopened(visit: Visit) -> None:
    await closed(visit)
    await visit.command(
        "manager",
        "reopen",
        note="It came back after a week",
        odometer=visit.odometer(800),
        code=visit.trouble.code,
    )


async def cancelled(visit: Visit) -> None:
    await diagnosed(visit)
    await visit.command("manager", "cancel", note="The vehicle was sold")


STORIES: tuple[Story, ...] = (
    requested, rejected, planned, booked, checked_in, diagnosed, estimated, approved, declined,
    released_without_work, short_of_parts, ready, in_progress, more_was_found, on_hold,
    in_quality_check, completed, released, invoiced, closed, closed_after_rework,
    closed_after_hold, closed_with_a_deferred_line, reopened, cancelled,
)  # fmt: skip


def hours_from_now(hours: int) -> str:
    now = datetime.now(UTC)  # noqa: TID251 -- a tool at a real clock
    return (now + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")
