"""Measures: stored in metres and seconds, with the unit that was entered kept beside."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum


class DistanceUnit(StrEnum):
    KILOMETRE = "KILOMETRE"
    MILE = "MILE"


METRES = {DistanceUnit.KILOMETRE: Decimal(1000), DistanceUnit.MILE: Decimal("1609.344")}


@dataclass(frozen=True, slots=True)
class Distance:
    """`metres` is what is compared; `unit` is what the person read off the dashboard."""

    metres: int
    unit: DistanceUnit = DistanceUnit.KILOMETRE


def distance(value: Decimal, unit: DistanceUnit) -> Distance:
    """A reading such as 120,345 miles; rounded to whole metres."""
    metres = (value * METRES[unit]).quantize(Decimal(1), ROUND_HALF_UP)
    return Distance(int(metres), unit)
