"""Money in integer minor units. Never a float, never two currencies in one sum."""

from dataclasses import dataclass
from typing import Self

from kernel.errors import InvalidArgument


class CurrencyMismatch(InvalidArgument):
    pass


def divided_half_up(numerator: int, denominator: int) -> int:
    """Rounds half away from zero, as commercial rounding does; exact in integers."""
    sign = 1 if numerator >= 0 else -1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` counts cents, yen or fils: the ISO 4217 exponent belongs to the currency."""

    minor: int
    currency: str

    def __add__(self, other: Self) -> "Money":
        if other.currency != self.currency:
            raise CurrencyMismatch(
                f"cannot add {other.currency} to {self.currency}",
                currency=self.currency,
                other=other.currency,
            )
        return Money(self.minor + other.minor, self.currency)

    def scaled(self, numerator: int, denominator: int) -> "Money":
        """`numerator / denominator` of this amount, rounded half up."""
        return Money(divided_half_up(self.minor * numerator, denominator), self.currency)


def nothing(currency: str) -> Money:
    return Money(0, currency)
