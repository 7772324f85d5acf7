"""Vehicle identification numbers that are valid by their check digit (49 CFR 565.15)."""

from random import Random

ALPHABET = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
VALUES = {
    **{str(digit): digit for digit in range(10)},
    **dict(zip("ABCDEFGH", range(1, 9), strict=True)),
    **dict(zip("JKLMN", range(1, 6), strict=True)),
    "P": 7,
    "R": 9,
    **dict(zip("STUVWXYZ", range(2, 10), strict=True)),
}


def vin(random: Random) -> str:
    """17 characters; the ninth is the weighted sum of the others modulo 11, X for ten."""
    drawn = "".join(random.choice(ALPHABET) for _ in range(11)) + f"{random.randrange(10**6):06d}"
    remainder = sum(VALUES[each] * weight for each, weight in zip(drawn, WEIGHTS, strict=True)) % 11
    return drawn[:8] + ("X" if remainder == 10 else str(remainder)) + drawn[9:]
