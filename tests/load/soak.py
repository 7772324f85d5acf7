"""Thousands of commands, a third of them refused: what the services' memory makes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from json import dumps

import psutil

from devstack.stack import Stack
from tests.load.fleet import TRIAGE, WORKERS, Fleet, fleet
from tests.load.generator import Answers, Target, at_once
from tests.load.report import Goal, Part, Row
from tests.load.settled import settled

COMMANDS = 20_000
QUARTERS = 4
WATCHED = ("workshop", "gateway")
NOBODY = "jobs/00000000-0000-7000-8000-000000000000"
MALFORMED = dumps(TRIAGE | {"priority": "PRIORITY_NONE"}).encode()
FLAT = Goal("<=", 1.1, of="ratio")
HOW = f"""{COMMANDS:,} commands in a closed loop of {WORKERS} workers: a third requests of new jobs, a third triages of them, and a third that must be refused, each for another reason: a rule, no such job, a wrong field, a key that another request has used. Memory is the resident set after each quarter, once every consumer has caught up; the ratio is to the first quarter. What may still grow then are caches with a bound: of keys, for at most 10,000 subjects (about 9 MiB)."""


async def measured(stack: Stack, number: int = COMMANDS) -> Part:
    quarters = []
    async with fleet(stack, "soak") as found:
        for _ in range(QUARTERS):
            unexpected = _quarter(found, number // QUARTERS)
            settled(stack)
            quarters.append((_resident(stack), unexpected))
    wrong = [told for _, unexpected in quarters for told in unexpected]
    rows = tuple(_rows([resident for resident, _ in quarters]))
    return Part("Soak", HOW, rows, len(wrong), wrong[:1])


def _quarter(found: Fleet, number: int) -> list[str]:
    """What was answered otherwise than it should have been."""
    third = number // 3
    triages = [found.triage(job) for job in found.open_jobs(third)]
    accepted = at_once(triages, WORKERS)
    refused = at_once(list(islice(_wrong(found, triages), third)), WORKERS)
    return [str(each) for each in accepted.refused] + _let_through(refused)


def _wrong(found: Fleet, triages: Sequence[Target]) -> Iterator[Target]:
    """Of jobs that are triaged already; every kind of refusal in turn."""
    used = triages[0].headers["idempotency-key"]
    for done in islice(cycle(triages), 1, None):
        fresh = found.triage(NOBODY)
        yield replace(done, headers=fresh.headers)
        yield fresh
        yield replace(done, headers=fresh.headers, body=MALFORMED)
        yield replace(done, headers={**done.headers, "idempotency-key": used})


def _let_through(answers: Answers) -> list[str]:
    """Refused by the server's fault counts as let through: nothing was judged."""
    return [str(each) for each in answers.all if not 400 <= each.status < 500 or each.status == 429]


def _resident(stack: Stack) -> dict[str, float]:
    """MiB of each watched process."""
    running = stack.running()
    return {name: psutil.Process(running[name].pid).memory_info().rss / 2**20 for name in WATCHED}


def _rows(quarters: Sequence[dict[str, float]]) -> Iterator[Row]:
    for name in WATCHED:
        first, *others = (quarter[name] for quarter in quarters)
        yield Row(f"{name}: RSS at 1/{QUARTERS}", first, "MiB")
        for number, resident in enumerate(others, start=2):
            goals = (FLAT,) if number == QUARTERS else ()
            what = f"{name}: RSS at {number}/{QUARTERS}"
            yield Row(what, resident, "MiB", first, "itself at the first quarter", goals)
