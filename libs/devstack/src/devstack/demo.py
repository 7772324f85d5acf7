"""A realistic fleet, driven through the public API only: `make demo`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Annotated, Any

import aiohttp
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from devstack import show
from devstack.api import Api, Refused, caller
from devstack.stack import Stack
from devstack.stories import STORIES, Story, Workshop
from devstack.tokens import Person
from devstack.vins import vin

WORKERS = 8
JOBS = 150
VEHICLES = 60
TECHNICIANS = 12
BAYS = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """A workshop of the demo: whose it is, and what makes it different."""

    tenant: str
    title: str
    code: str
    zone: str
    currency: str
    labour_rate_minor: int
    tax_ppm: int
    region: str
    unit: str


PLANS = (
    Plan(
        "acme",
        "Berlin North",
        "BER",
        "Europe/Berlin",
        "EUR",
        9_500,
        190_000,
        "ELSEWHERE",
        "KILOMETRE",
    ),
    Plan(
        "acme",
        "Vienna East",
        "VIE",
        "Europe/Vienna",
        "EUR",
        8_900,
        200_000,
        "ELSEWHERE",
        "KILOMETRE",
    ),
    Plan(
        "polaris",
        "Chicago West",
        "CHI",
        "America/Chicago",
        "USD",
        14_500,
        102_500,
        "NORTH_AMERICA",
        "MILE",
    ),
    Plan(
        "polaris",
        "Toronto Port",
        "TOR",
        "America/Toronto",
        "CAD",
        13_000,
        130_000,
        "NORTH_AMERICA",
        "MILE",
    ),
)
FLEET = (
    ("MAN", "TGX 18.470"),
    ("Volvo", "FH 460"),
    ("Freightliner", "Cascadia"),
    ("Mercedes-Benz", "Sprinter 319"),
    ("Ford", "Transit 350"),
)
NAMES = (
    "Ada Nowak",
    "Luis Ortega",
    "Mei Tan",
    "Jonas Weber",
    "Fatima Haddad",
    "Oleh Bondar",
    "Grace Okafor",
    "Sam Rivera",
    "Ines Rossi",
    "Noah Tremblay",
    "Priya Nair",
    "Tom Baker",
)
CERTIFICATIONS = ("BRAKES", "HIGH_VOLTAGE", "AIR_CONDITIONING")


@dataclass(slots=True)
class Demo:
    """Seeded: the same seed makes the same fleet and the same jobs."""

    session: aiohttp.ClientSession
    stack: Stack
    random: Random
    run: str
    done: Callable[[], None]
    keys: int = 0
    workshops: list[Workshop] = field(default_factory=list)

    def api(self, tenant: str, *roles: str, **person: Any) -> Api:
        return caller(self.session, self.stack, Person(tenant, roles, **person))

    def key(self) -> str:
        self.keys += 1
        return f"demo-{self.run}-{self.keys:06d}"

    async def fleet(self) -> None:
        """Workshops, vehicles, technicians. What is there from an earlier run is used again."""
        for number, plan in enumerate(PLANS):
            admin = self.api(plan.tenant, "admin")
            site, is_new = await self._site(admin, plan)
            vehicles = [
                await self._vehicle(admin, plan, site["name"], number * 100 + each)
                for each in range(VEHICLES // len(PLANS))
            ]
            technicians = [
                await self._technician(admin, site["name"], number * 3 + each)
                for each in range(TECHNICIANS // len(PLANS))
            ]
            self.workshops.append(
                self._workshop(plan, site, is_new, vehicles, technicians, admin.after)
            )

    def _workshop(
        self,
        plan: Plan,
        site: Any,
        is_new: bool,
        vehicles: list[str],
        technicians: list[str],
        after: dict[str, str],
    ) -> Workshop:
        people = {
            "driver": self.api(plan.tenant, "driver"),
            "manager": self.api(
                plan.tenant, "service_manager", subject=f"{plan.code.lower()}-manager"
            ),
            "inspector": self.api(
                plan.tenant, "service_manager", subject=f"{plan.code.lower()}-inspector"
            ),
            "clerk": self.api(plan.tenant, "parts_clerk"),
            "owner": self.api(plan.tenant, "fleet_manager"),
        }
        for person in people.values():
            person.after.update(after)
        bays = [bay["name"] for bay in site["bays"] if not bay.get("retired")]
        may_run = int(is_new)  # an earlier run left one at work
        return Workshop(
            site["name"], vehicles, technicians, bays, people, plan.unit, self.key, may_run
        )

    async def _site(self, admin: Api, plan: Plan) -> tuple[Any, bool]:
        taxes = {"labourPpm": plan.tax_ppm, "partsPpm": plan.tax_ppm, "feesPpm": 0}
        body = {
            "title": plan.title,
            "code": plan.code,
            "zone": plan.zone,
            "currency": plan.currency,
            "labourRateMinor": str(plan.labour_rate_minor),
            "taxRates": taxes,
            "bays": [f"Bay {number}" for number in range(1, BAYS + 1)],
        }
        return await self._made(admin, "/v1/sites", body, "siteId", "sites")

    async def _vehicle(self, admin: Api, plan: Plan, site: str, number: int) -> str:
        make, model = FLEET[number % len(FLEET)]
        body = {
            "vin": vin(Random(f"{plan.code}{number}")),
            "vinRegion": f"VIN_REGION_{plan.region}",
            "plate": f"{plan.code[0]}-BL {1000 + number}",
            "assetNumber": f"{plan.code}-{number:04d}",
            "make": make,
            "model": model,
            "modelYear": 2016 + number % 9,
            "site": site,
        }
        made, _ = await self._made(admin, "/v1/vehicles", body, "vehicleId", "vehicles")
        return str(made["name"])

    async def _technician(self, admin: Api, site: str, number: int) -> str:
        body = {"displayName": NAMES[number], "site": site, "personnelNumber": f"T-{number:04d}"}
        made, _ = await self._made(admin, "/v1/technicians", body, "technicianId", "technicians")
        if not made.get("certifications"):
            for code in CERTIFICATIONS:
                grant = {
                    "code": code,
                    "validFrom": "2024-01-01T00:00:00Z",
                    "expiresAt": "2031-01-01T00:00:00Z",
                }
                await admin.post(f"/v1/{made['name']}:grantCertification", grant, key=self.key())
        return str(made["name"])

    async def _made(
        self, admin: Api, path: str, body: Any, holder: str, collection: str
    ) -> tuple[Any, bool]:
        """Makes it, or finds the one that the refusal names."""
        try:
            made, is_new = await admin.post(path, body, key=self.key()), True
        except Refused as refusal:
            if holder not in refusal.problem:
                raise
            name = str(refusal.problem[holder]).removeprefix(f"{collection}/")
            made, is_new = await admin.get(f"/v1/{collection}/{name}"), False
        self.done()
        return made, is_new

    async def jobs(self) -> None:
        """Every story is told several times, by a few workers at once."""
        told = [STORIES[number % len(STORIES)] for number in range(JOBS)]
        self.random.shuffle(told)
        waiting: asyncio.Queue[tuple[Story, Workshop]] = asyncio.Queue()
        for number, story in enumerate(told):
            waiting.put_nowait((story, self.workshops[number % len(self.workshops)]))
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._work(waiting))

    async def _work(self, waiting: asyncio.Queue[tuple[Story, Workshop]]) -> None:
        while not waiting.empty():
            story, workshop = waiting.get_nowait()
            await story(workshop.visit(Random(self.random.random())))
            self.done()


def demo(
    seed: Annotated[int, typer.Option(help="The same seed makes the same fleet and jobs.")] = 1,
) -> None:
    """A fleet of two tenants at work, through the public API: 60 vehicles, 150 jobs in every state."""
    stack = Stack.here()
    asyncio.run(_drive(stack, seed))
    show.line(what_to_see(stack), plain=True)


async def _drive(stack: Stack, seed: int) -> None:
    things = len(PLANS) + VEHICLES + TECHNICIANS + JOBS
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    async with aiohttp.ClientSession() as session:
        with Progress(*columns, console=show.console) as progress:
            task = progress.add_task("fleet", total=things)
            run = f"{datetime.now(UTC):%y%m%d%H%M%S}-{seed}"  # noqa: TID251 -- keys of one run of a tool
            demo = Demo(session, stack, Random(seed), run, lambda: progress.advance(task))
            await demo.fleet()
            progress.update(task, description="jobs")
            await demo.jobs()


def what_to_see(stack: Stack) -> str:
    return WHAT_TO_SEE.format(api=stack.parts.environments.gateway, bayline=show.command())


WHAT_TO_SEE = """
The fleet is at work. Look at it:
  every job of acme      curl -H "Authorization: Bearer $({bayline} token --tenant acme --role service_manager)" {api}/v1/jobs
  live, while you work   curl -N -H "Authorization: Bearer $({bayline} token --tenant acme --role service_manager)" {api}/v1/jobs:stream
  the log, replayed      {bayline} streams tail bayline.workshop.v1.JobEvent --tenant acme
  the API                {api}/docs
  the machinery          {bayline} status"""
