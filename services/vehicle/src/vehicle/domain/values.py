"""Ids, and what a vehicle identification number (ISO 3779) can be."""

import re
from enum import StrEnum
from typing import NewType

from kernel.errors import Violation
from vehicle.domain.errors import VinMalformed

SiteId = NewType("SiteId", str)
VehicleId = NewType("VehicleId", str)
Vin = NewType("Vin", str)

NO_VIN = Vin("")
WELL_FORMED = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
LETTERS, DIGITS = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"
VALUES = dict(zip(LETTERS + DIGITS, map(int, "12345678123457923456789" + DIGITS), strict=True))
WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
CHECK_DIGITS = "0123456789X"
CHECK_DIGIT_AT = 8


class VinRegion(StrEnum):
    """By which rule a VIN is checked: its check digit is compulsory in North America only."""

    NORTH_AMERICA = "NORTH_AMERICA"
    ELSEWHERE = "ELSEWHERE"


def parse_vin(text: str) -> Vin:
    """Upper case; nothing for a trailer or equipment that never got one."""
    vin = text.strip().upper()
    if vin and not WELL_FORMED.fullmatch(vin):
        raise VinMalformed(
            "a VIN has 17 letters and digits, none of them I, O or Q",
            violations=[Violation("/vin", "has other than 17 letters and digits, or I, O or Q")],
        )
    return Vin(vin)


def check_digit(vin: Vin) -> str:
    total = sum(VALUES[sign] * weight for sign, weight in zip(vin, WEIGHTS, strict=True))
    return CHECK_DIGITS[total % 11]


def has_valid_check_digit(vin: Vin) -> bool:
    """Whether the ninth sign is the check digit; without a VIN nothing is wrong."""
    return vin == NO_VIN or vin[CHECK_DIGIT_AT] == check_digit(vin)
