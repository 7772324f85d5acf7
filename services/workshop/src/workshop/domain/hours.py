"""When a site is open, on its own clock."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from workshop.domain.errors import OpeningHoursInvalid
from workshop.domain.values import OpeningHours, Timeslot, Weekday

WEEKDAYS = tuple(Weekday)


def is_open(hours: tuple[OpeningHours, ...], zone: str, slot: Timeslot) -> bool:
    """Whether it opens before the start and closes after the end, each on its own day.

    A vehicle may stay overnight. A site without hours is always open.
    """
    if not hours:
        return True
    start, end = (_local(at, zone) for at in (slot.start, slot.end))
    arrives = any(span.opens <= start[1] < span.closes for span in _of_day(hours, start[0]))
    leaves = any(span.opens < end[1] <= span.closes for span in _of_day(hours, end[0]))
    return arrives and leaves


def refuse_invalid(hours: tuple[OpeningHours, ...]) -> None:
    for span in hours:
        if span.closes <= span.opens:
            raise OpeningHoursInvalid(f"{span.day.lower()} closes before it opens", day=span.day)
    for day in WEEKDAYS:
        spans = sorted(_of_day(hours, day), key=lambda span: span.opens)
        if any(later.opens < earlier.closes for earlier, later in pairwise(spans)):
            raise OpeningHoursInvalid(f"two spans of {day.lower()} overlap", day=day)


def _of_day(hours: Iterable[OpeningHours], day: Weekday) -> list[OpeningHours]:
    return [span for span in hours if span.day is day]


def _local(at: datetime, zone: str) -> tuple[Weekday, str]:
    local = at.astimezone(ZoneInfo(zone))
    return WEEKDAYS[local.weekday()], f"{local:%H:%M:%S}"
