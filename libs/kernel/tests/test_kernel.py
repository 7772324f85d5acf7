from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.clock import FixedClock, SystemClock
from kernel.errors import DomainError, InvalidArgument, NotFound, Violation
from kernel.ids import SequentialIds, Uuid7
from kernel.money import CurrencyMismatch, Money, divided_half_up, nothing
from kernel.units import DistanceUnit, distance


class BayIsOnFire(InvalidArgument):
    pass


def test_an_error_is_called_after_the_truth_and_says_it_in_one_word() -> None:
    error = BayIsOnFire("bay 3 burns", violations=[Violation("/bay", "burns")], bay="bays/3")

    assert error.reason == "BAY_IS_ON_FIRE"
    assert str(error) == error.message == "bay 3 burns"
    assert (error.facts, error.violations) == ({"bay": "bays/3"}, (Violation("/bay", "burns"),))
    assert isinstance(error, DomainError)
    assert NotFound.reason == "NOT_FOUND"


def test_ids_sort_by_the_time_they_were_given() -> None:
    ids = Uuid7()
    before = int(datetime.now(UTC).timestamp() * 1000)  # noqa: TID251 -- compared with the id's own time

    found = [ids.new() for _ in range(1000)]

    assert len(set(found)) == 1000
    for each in found:
        assert (each.version, each.variant) == (7, "specified in RFC 4122")
        assert before <= each.int >> 80 <= before + 60_000


def test_test_ids_count() -> None:
    ids = SequentialIds()

    assert [str(ids.new())[-1], str(ids.new())[-1], ids.new().version] == ["1", "2", 7]


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock(datetime(2026, 11, 24, 8, tzinfo=UTC))

    clock.advance(timedelta(minutes=6))

    assert clock.now() == datetime(2026, 11, 24, 8, 6, tzinfo=UTC)


def test_the_system_clock_speaks_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(5, 10, 1), (4, 10, 0), (-5, 10, -1), (-4, 10, 0), (15, 10, 2), (25, 10, 3), (0, 7, 0)],
)
def test_half_is_rounded_away_from_zero(numerator: int, denominator: int, rounded: int) -> None:
    assert divided_half_up(numerator, denominator) == rounded


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**9))
def test_rounding_is_never_off_by_more_than_half(numerator: int, denominator: int) -> None:
    rounded = divided_half_up(numerator, denominator)

    assert 2 * abs(rounded * denominator - numerator) <= denominator


def test_money_of_one_currency_adds_up() -> None:
    assert nothing("EUR") + Money(1250, "EUR") == Money(1250, "EUR")
    assert Money(100, "EUR").scaled(190_000, 1_000_000) == Money(19, "EUR")


def test_money_of_two_currencies_does_not() -> None:
    with pytest.raises(CurrencyMismatch, match="cannot add USD to EUR"):
        Money(1, "EUR") + Money(1, "USD")


def test_a_mile_is_1609_metres_and_the_unit_is_kept() -> None:
    read = distance(Decimal("100000.5"), DistanceUnit.MILE)

    assert (read.metres, read.unit) == (160_935_205, DistanceUnit.MILE)


def test_half_a_metre_counts_as_one() -> None:
    assert distance(Decimal("0.0005"), DistanceUnit.KILOMETRE).metres == 1
