"""The stack that all these tests share: whatever they did to it, its promises hold."""

import asyncio
from random import Random

from devstack import stories
from devstack.stack import Stack
from devstack.stories import Workshop
from testkit.proof.gathering import gather, quiet
from testkit.proof.invariants import violations


async def test_what_is_stored_published_projected_and_claimed_agrees(
    whole_stack: Stack, berlin: Workshop, chicago: Workshop
) -> None:
    visits = [shop.visit(Random(number)) for number, shop in enumerate((berlin, chicago))]
    await asyncio.gather(*map(stories.closed, visits))

    await quiet(whole_stack.parts.environments)
    evidence = await gather(whole_stack.parts.environments)

    assert violations(evidence) == []
    assert {visit.job["name"].removeprefix("jobs/") for visit in visits} <= {
        row["job"] for row in evidence.rows["workshop.job"]
    }
