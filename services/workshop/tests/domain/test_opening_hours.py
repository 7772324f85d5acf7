from datetime import UTC, datetime

import pytest

from workshop.domain.hours import is_open
from workshop.domain.values import OpeningHours, Timeslot, Weekday

SPLIT_FRIDAY = (
    OpeningHours(Weekday.FRIDAY, "07:00", "12:00"),
    OpeningHours(Weekday.FRIDAY, "13:00", "18:00"),
)
HOURS = (
    *SPLIT_FRIDAY,
    OpeningHours(Weekday.SUNDAY, "01:30", "04:00"),
    OpeningHours(Weekday.MONDAY, "07:00", "18:00"),
)


def slot(start: str, end: str) -> Timeslot:
    return Timeslot(*(datetime.fromisoformat(at).replace(tzinfo=UTC) for at in (start, end)))


@pytest.mark.parametrize(
    ("times", "open_then"),
    [
        (("2026-11-27T06:00", "2026-11-27T11:00"), True),
        (("2026-11-27T05:59", "2026-11-27T11:00"), False),
        (("2026-11-27T06:00", "2026-11-27T11:01"), False),
        (("2026-11-27T11:00", "2026-11-27T13:00"), False),
        (("2026-11-27T08:00", "2026-11-27T17:00"), True),
        (("2026-11-27T16:00", "2026-11-30T08:00"), True),
        (("2026-11-28T08:00", "2026-11-30T08:00"), False),
    ],
)
def test_a_site_opens_before_the_start_and_closes_after_the_end(
    times: tuple[str, str], *, open_then: bool
) -> None:
    assert is_open(HOURS, "Europe/Berlin", slot(*times)) is open_then


def test_opening_hours_are_on_the_clock_of_the_site_in_summer_and_in_winter() -> None:
    in_summer, in_winter = "2026-10-23T05:00", "2026-10-30T05:00"

    assert is_open(HOURS, "Europe/Berlin", slot(in_summer, "2026-10-23T06:00"))
    assert not is_open(HOURS, "Europe/Berlin", slot(in_winter, "2026-10-30T06:00"))


def test_the_hour_that_comes_twice_is_open_twice() -> None:
    first, second = "2026-10-25T00:30", "2026-10-25T01:30"

    assert is_open(HOURS, "Europe/Berlin", slot(first, second))
    assert is_open(HOURS, "Europe/Berlin", slot(second, "2026-10-25T03:00"))


def test_a_site_without_hours_is_always_open() -> None:
    assert is_open((), "Europe/Berlin", slot("2026-11-28T01:00", "2026-11-28T02:00"))
