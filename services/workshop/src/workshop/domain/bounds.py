"""What is plausible: bounds of numbers, and of how large a job grows. The contract says the same."""

from datetime import timedelta

from kernel.errors import Violation
from workshop.domain.errors import NumberOutOfBounds, SumOutOfBounds

MOST_LABOUR = timedelta(hours=1000)  # standard time of a line
MOST_QUANTITY_MILLI = 10**9
MOST_AMOUNT_MINOR = 10**12  # what one unit of a part costs, a fee, what may be approved
MOST_RATE_MINOR = 10**10
MOST_TAX_PPM = 10**6

MOST_NET_MINOR = 10**13
"""Of all lines of a job, before tax. Tax is at most as much again, and a browser is exact to 2**53."""

MOST_LINES = 200
MOST_CLOCKS = 2000
MOST_RETURNED_LINES, MOST_RETURNED_PARTS = 50, 900
"""Of earlier jobs, at one check-in: they are told by one event."""
MOST_BAYS = 200

SECOND = timedelta(seconds=1)


def refuse_outside(pointer: str, value: int, most: int, *, least: int = 0, unit: str) -> None:
    if least <= value <= most:
        return
    raise NumberOutOfBounds(
        f"{pointer} is {value}: it is from {least} to {most}, in {unit}",
        violations=[Violation(pointer, f"is not from {least} to {most}")],
        value=str(value),
        least=str(least),
        most=str(most),
        unit=unit,
    )


def refuse_sum(total_minor: int, most_minor: int, currency: str) -> None:
    """Nothing is charged below 0: there is no credit note yet."""
    if 0 <= total_minor <= most_minor:
        return
    raise SumOutOfBounds(
        f"the lines of the job would add up to {total_minor} {currency} in minor units: "
        f"it is from 0 to {most_minor}",
        total_minor=str(total_minor),
        most_minor=str(most_minor),
        currency=currency,
    )
