"""When a site is open, on its own clock."""

from collections.abc import Iterable, Iterator
from datetime import datetime, time
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
    start, end = (at.astimezone(ZoneInfo(zone)) for at in (slot.start, slot.end))
    arrives = any(opens <= start.time() < closes for opens, closes in _spans(hours, start))
    leaves = any(opens < end.time() <= closes for opens, closes in _spans(hours, end))
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


def _spans(hours: Iterable[OpeningHours], local: datetime) -> Iterator[tuple[time, time]]:
    for span in _of_day(hours, WEEKDAYS[local.weekday()]):
        yield time.fromisoformat(span.opens), time.fromisoformat(span.closes)
