"""Who sends the requests that are measured: a service manager of the demo's fleet."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import aiohttp

from devstack.api import Api
from devstack.demo import Demo
from devstack.stack import Stack
from devstack.stories import Workshop
from tests.load.generator import Target, at_once

TRIAGE = {"priority": "PRIORITY_SCHEDULED", "reason": "REPAIR_REASON_INSPECTION"}
WORKERS = 16
STEPS = 4  # for each new job


@dataclass(frozen=True, slots=True)
class Fleet:
    """Every command has a key of its own, and every step a job of its own."""

    workshop: Workshop
    manager: Api
    run: str
    keys: "count[int]" = field(default_factory=count)

    def open_jobs(self, number: int) -> list[str]:
        """Made by as many workers as the closed loop has."""
        answers = at_once([self.request() for _ in range(number)], WORKERS)
        if answers.refused:
            raise SystemExit(f"a job was refused: {answers.refused[0]}")
        return [str(job["name"]) for job in answers.bodies()]

    def commands(self, jobs: Iterable[str]) -> list[Target]:
        """20 % requests of new jobs, 80 % triages: read the stream, decide, append."""
        targets = list[Target]()
        for number, job in enumerate(jobs):
            if number % STEPS == 0:
                targets.append(self.request())
            targets.append(self.triage(job))
        return targets

    def request(self) -> Target:
        visit = self.workshop.visit(Random(next(self.keys)))
        return self._command(
            "/v1/jobs",
            site=visit.workshop.site,
            vehicle=visit.vehicle,
            source="JOB_SOURCE_STAFF",
            complaint=visit.trouble.complaint,
        )

    def triage(self, job: str) -> Target:
        return self._command(f"/v1/{job}:triage", **TRIAGE)

    def reads(self, jobs: Sequence[str], number: int) -> list[Target]:
        base, headers = self.manager.base, self._headers()
        names = (jobs[each % len(jobs)] for each in range(number))
        return [Target("GET", f"{base}/v1/{name}", headers) for name in names]

    def _command(self, path: str, **body: Any) -> Target:
        key = {"idempotency-key": f"bench-{self.run}-{next(self.keys)}"}
        headers = self._headers() | key | {"content-type": "application/json"}
        return Target("POST", self.manager.base + path, headers, json.dumps(body).encode())

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.manager.token}"}


@asynccontextmanager
async def fleet(stack: Stack, run: str) -> AsyncIterator[Fleet]:
    async with aiohttp.ClientSession() as session:
        demo = Demo(session, stack, Random(1), run, lambda: None)
        await demo.fleet()
        workshop = demo.workshops[0]
        yield Fleet(workshop, workshop.people["manager"], run)
