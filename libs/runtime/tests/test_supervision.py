import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from kernel.errors import Unavailable
from runtime.service import Service
from runtime.supervision import MOST_BUGS, Returned, Supervised, Task
from testkit.topics import eventually

STEADY = 0.1  # seconds


class Mortal:
    """Dies of what it is told to, one by one, and then lives."""

    def __init__(self, *deaths: BaseException | None) -> None:
        self.deaths = list(deaths)
        self.lives = 0
        self.ended = False

    async def run(self) -> None:
        self.lives += 1
        if self.deaths:
            death = self.deaths.pop(0)
            if death is None:
                return
            raise death
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


class Interrupted:
    """Awaits a helper of its own that somebody has cancelled, as aiokafka's consumer does."""

    name = "interrupted"

    def __init__(self, times: int) -> None:
        self.times, self.lives = times, 0

    async def run(self) -> None:
        self.lives += 1
        helper = asyncio.create_task(asyncio.Event().wait())
        if self.lives <= self.times:
            helper.cancel()
        await helper


def supervised(task: Task, *, steady: float = 60.0) -> Supervised:
    return Supervised(task, first=0.01, steady=steady)


@asynccontextmanager
async def _running(begun: Supervised) -> AsyncIterator[Supervised]:
    running = asyncio.create_task(begun.run())
    yield begun
    await begun.stop()
    async with asyncio.timeout(1):
        await running


@pytest.mark.parametrize(
    "death",
    [OSError("a bug"), ConnectionError("the broker is gone"), asyncio.CancelledError(), None],
)
async def test_a_task_that_dies_is_begun_again(death: BaseException | None) -> None:
    mortal = Mortal(death)

    async with _running(supervised(mortal)):
        await eventually(lambda: mortal.lives == 2)


async def test_a_cancellation_by_others_is_a_death_like_any_other() -> None:
    task = Interrupted(times=2)

    async with _running(supervised(task)) as task_of_ours:
        await eventually(lambda: task.lives == 3)
        assert task_of_ours.complaint.startswith("died 2 times")


async def test_trouble_that_passes_may_kill_it_as_often_as_it_likes() -> None:
    mortal = Mortal(*(Unavailable("gone") for _ in range(MOST_BUGS + 1)))

    async with _running(supervised(mortal)):
        await eventually(lambda: mortal.lives == MOST_BUGS + 2)


@pytest.mark.parametrize("bug", [ZeroDivisionError("a bug"), None])
async def test_a_bug_that_repeats_comes_out(bug: BaseException | None) -> None:
    mortal = Mortal(*[bug] * MOST_BUGS)

    with pytest.raises(type(bug) if bug else Returned):
        await supervised(mortal).run()

    assert mortal.lives == MOST_BUGS


async def test_a_bug_one_time_fewer_does_not() -> None:
    mortal = Mortal(*(ZeroDivisionError("a bug") for _ in range(MOST_BUGS - 1)))

    async with _running(supervised(mortal)):
        await eventually(lambda: mortal.lives == MOST_BUGS)


async def test_bugs_between_which_it_ran_steadily_do_not_add_up() -> None:
    class Slow(Mortal):
        async def run(self) -> None:
            await asyncio.sleep(2 * STEADY)
            await Mortal.run(self)

    mortal = Slow(*(ZeroDivisionError("a bug") for _ in range(MOST_BUGS + 1)))

    async with _running(supervised(mortal, steady=STEADY)) as task_of_ours:
        await eventually(lambda: mortal.lives == MOST_BUGS + 2)
        await eventually(lambda: task_of_ours.complaint == "")


async def test_deaths_are_told_once_for_each_kind_and_the_recovery_with_their_number() -> None:
    mortal = Mortal(ConnectionError("1"), ConnectionError("2"), ZeroDivisionError("a bug"))

    with capture_logs() as logs:
        async with _running(supervised(mortal, steady=STEADY)):
            await eventually(lambda: "task_recovered" in [line["event"] for line in logs])

    assert [(line["event"], line.get("error"), line.get("deaths")) for line in logs] == [
        ("task_died", "ConnectionError('1')", None),
        ("task_died", "ZeroDivisionError('a bug')", None),
        ("task_recovered", None, 3),
    ]


async def test_a_task_that_is_stopped_ends_at_once_and_stays_ended() -> None:
    living, resting = Mortal(), Mortal(*(ConnectionError("gone") for _ in range(9)))

    async with _running(supervised(living)), _running(supervised(resting)):
        await eventually(lambda: living.lives and resting.lives > 3)

    lives = resting.lives
    assert living.ended
    await asyncio.sleep(0)
    assert (living.lives, resting.lives) == (1, lives)


async def test_a_cancellation_of_our_own_takes_the_task_along() -> None:
    mortal = Mortal()
    running = asyncio.create_task(supervised(mortal).run())
    await eventually(lambda: mortal.lives)

    running.cancel()
    async with asyncio.timeout(1):
        await asyncio.wait([running])

    assert (running.cancelled(), mortal.ended, mortal.lives) == (True, True, 1)


async def test_while_a_task_is_down_the_service_is_ready_and_says_what_is_down(
    service: Service,
) -> None:
    task = Interrupted(times=1)
    service.run(task)

    await service.start()
    await eventually(lambda: task.lives == 2)

    assert await service.probes.failing() == {}
    assert "died 1 times" in (await service.probes.degraded())["interrupted"]
