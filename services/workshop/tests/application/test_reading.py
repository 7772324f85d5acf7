"""Jobs as they are, as they were, and in words."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from eventstore.store import EventUnreadable, WrittenByANewerRelease
from kernel.units import Distance
from services.workshop.tests.application.people import (
    CHECKED_IN,
    DIAGNOSED,
    ESTIMATED,
    NOON,
    STRANGER,
    TENANT,
    TRIAGED,
    UNTIL_READY,
    NotAllowed,
    Person,
    Workshop,
)
from workshop.application.reading import DAMAGED, NEWER
from workshop.domain.errors import JobNotFound
from workshop.domain.job import commands
from workshop.domain.job.values import JobState
from workshop.domain.values import JobId

DEFERRED = commands.DeferLines(1, (1,))
LEFT = commands.ReleaseVehicle(Distance(120_000_000))


async def test_a_job_is_shown_at_its_last_version(workshop: Workshop) -> None:
    job = workshop.new_job()
    ready = await workshop.after(job, workshop.request(), *UNTIL_READY)

    known = await workshop.reader.job(TENANT, job, Person())

    assert (known.value, known.version) == (ready, 6)


async def test_a_job_is_shown_as_it_stood_and_as_it_was_known(workshop: Workshop) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request())
    workshop.clock.advance(timedelta(hours=1))
    await workshop.after(job, TRIAGED)

    stood = await workshop.reader.job(TENANT, job, Person(), as_of=NOON)
    known = await workshop.reader.job(TENANT, job, Person(), known_at=NOON)

    assert (stood.value.state, stood.version) == (JobState.REQUESTED, 1)
    assert (known.value.state, known.version) == (JobState.REQUESTED, 1)
    with pytest.raises(JobNotFound):
        await workshop.reader.job(TENANT, job, Person(), as_of=NOON - timedelta(hours=1))


async def test_history_tells_what_happened(workshop: Workshop) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request(), TRIAGED)

    told, end = await workshop.reader.history(TENANT, job, Person())

    assert ([each.recorded.version for each in told], end) == ([1, 2], None)
    assert "Brakes grind" in told[0].text


async def test_history_is_told_page_by_page(workshop: Workshop) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request(), TRIAGED)

    first, end = await workshop.reader.history(TENANT, job, Person(), size=1)
    last, none = await workshop.reader.history(TENANT, job, Person(), size=1, after=1)
    beyond, nothing = await workshop.reader.history(TENANT, job, Person(), after=2)

    assert [each.recorded.version for each in (*first, *last)] == [1, 2]
    assert (end, none, nothing, list(beyond)) == (1, None, None, [])


async def test_a_job_is_neither_shown_nor_told_without_leave(workshop: Workshop) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request())

    with pytest.raises(NotAllowed):
        await workshop.reader.job(TENANT, job, STRANGER)
    with pytest.raises(NotAllowed):
        await workshop.reader.history(TENANT, job, STRANGER)
    with pytest.raises(JobNotFound):
        await workshop.reader.job("another", job, Person())


async def test_a_line_that_came_back_twice_keeps_the_words_of_the_first_job(
    workshop: Workshop,
) -> None:
    first, second, third = (workshop.new_job() for _ in range(3))
    arrived = (TRIAGED, CHECKED_IN)
    await workshop.after(first, workshop.request(), *arrived, DIAGNOSED, ESTIMATED, DEFERRED, LEFT)
    workshop.facts.deferred = [(first, 1)]
    again = commands.IssueEstimate(ESTIMATED.lines)
    came_back = await workshop.after(second, workshop.request(), *arrived, DIAGNOSED, again)
    assert [line.from_job for line in came_back.lines] == [first, None]
    await workshop.after(second, commands.DeclineLines(1, (2,)), commands.DeferLines(1, (1,)), LEFT)
    workshop.facts.deferred = [(second, 1)]
    last = await workshop.after(third, workshop.request(), *arrived)

    spoken = await workshop.reader.in_words(TENANT, third, last)

    (line,) = spoken.lines
    assert line.description is not None
    assert (line.from_job, line.description.text) == (second, "Replace pads")


@pytest.mark.parametrize("from_line", [1, 9])
async def test_a_line_whose_words_cannot_be_read_comes_without_them(
    workshop: Workshop, from_line: int
) -> None:
    first, unreadable = workshop.new_job(), workshop.new_job()
    shown = await workshop.after(first, workshop.request(), *UNTIL_READY)
    another_release_writes(workshop, unreadable)
    source = unreadable if from_line == 1 else first
    line = replace(shown.lines[0], description=None, from_job=source, from_line=from_line)

    spoken = await workshop.reader.in_words(TENANT, first, replace(shown, lines=(line,)))

    assert spoken.lines == (line,)


async def test_a_job_is_shown_and_told_without_what_a_newer_release_wrote(
    workshop: Workshop,
) -> None:
    job = workshop.new_job()
    requested = await workshop.after(job, workshop.request())
    another_release_writes(workshop, job)

    known = await workshop.reader.job(TENANT, job, Person())
    told, _ = await workshop.reader.history(TENANT, job, Person())

    assert (known.value, known.version, known.unread) == (requested, 2, 1)
    assert [(each.recorded.version, each.text) for each in told][1:] == [(2, NEWER)]


async def test_a_job_of_which_nothing_can_be_read_is_there_all_the_same(
    workshop: Workshop,
) -> None:
    job = workshop.new_job()
    another_release_writes(workshop, job)

    with pytest.raises(WrittenByANewerRelease):
        await workshop.reader.job(TENANT, job, Person())


async def test_a_damaged_job_is_told_and_not_shown(workshop: Workshop) -> None:
    job = workshop.new_job()
    await workshop.after(job, workshop.request())
    another_release_writes(workshop, job, damage="cut off")

    told, _ = await workshop.reader.history(TENANT, job, Person())

    assert told[-1].text == DAMAGED
    with pytest.raises(EventUnreadable):
        await workshop.reader.job(TENANT, job, Person())


def another_release_writes(workshop: Workshop, job: JobId, damage: str = "") -> None:
    workshop.store.append_unread(TENANT, UUID(job), "jobs.SomethingNew", NOON, damage=damage)
