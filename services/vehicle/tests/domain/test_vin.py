from string import ascii_uppercase, digits

import pytest
from hypothesis import given, strategies

from vehicle.domain.errors import VinMalformed
from vehicle.domain.values import NO_VIN, Vin, check_digit, has_valid_check_digit, parse_vin

SIGNS = sorted(set(ascii_uppercase + digits) - set("IOQ"))
VINS = strategies.text(SIGNS, min_size=17, max_size=17).map(Vin)


@pytest.mark.parametrize(
    "vin", ["1M8GDM9AXKP042788", "11111111111111111", "5GZCZ43D13S812715", "1FUJA6CK14LM94383"]
)
def test_the_ninth_sign_of_an_american_vin_checks_the_others(vin: str) -> None:
    assert has_valid_check_digit(parse_vin(vin))


def test_a_vin_is_upper_case_whatever_was_typed() -> None:
    assert parse_vin(" 1m8gdm9axkp042788 ") == Vin("1M8GDM9AXKP042788")


def test_a_trailer_without_a_vin_has_nothing_wrong() -> None:
    assert parse_vin("") == NO_VIN
    assert has_valid_check_digit(NO_VIN)


@pytest.mark.parametrize(
    "typed",
    [
        "1M8GDM9AXKP04278",
        "1M8GDM9AXKP0427889",
        "IM8GDM9AXKP042788",
        "1M8GDM9AXKPO42788",
        "QM8GDM9AXKP042788",
        "1M8GDM9AXKP04278-",
        "1M8GDM9AXKP04278\N{LATIN CAPITAL LETTER A WITH DIAERESIS}",
        "1M8GDM9AXKP04278\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_what_cannot_be_a_vin_is_refused_and_the_field_named(typed: str) -> None:
    with pytest.raises(VinMalformed) as refused:
        parse_vin(typed)

    assert [violation.pointer for violation in refused.value.violations] == ["/vin"]


@given(VINS)
def test_every_vin_is_right_with_its_check_digit_and_wrong_with_any_other(vin: Vin) -> None:
    right = check_digit(vin)

    verdicts = {
        sign: has_valid_check_digit(Vin(vin[:8] + sign + vin[9:])) for sign in "0123456789X"
    }

    assert verdicts == {sign: sign == right for sign in "0123456789X"}
