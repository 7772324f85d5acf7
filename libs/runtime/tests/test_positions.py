import pytest

from runtime.positions import (
    CursorUnreadable,
    PageTokenUnreadable,
    Place,
    PositionUnreadable,
    Purpose,
    Seals,
)

OLD, NEW = bytes(32), bytes(range(32))
PLACES = (Place("bayline.workshop.v1.JobEvent", 0, 1), Place("x.v1.VehicleEvent", 63, 2**40))


@pytest.fixture
def seals() -> Seals:
    return Seals([NEW, OLD])


def test_places_come_back_as_they_went(seals: Seals) -> None:
    assert seals.open_places("acme", seals.seal_places("acme", PLACES)) == PLACES


def test_several_positions_are_meant_together(seals: Seals) -> None:
    one, other = (seals.seal_places("acme", [place]) for place in PLACES)

    assert seals.open_places("acme", f"{one}, {other}") == PLACES


def test_no_byte_of_a_position_can_be_changed(seals: Seals) -> None:
    token = seals.seal_places("acme", PLACES)

    for index, letter in enumerate(token[:-1]):
        changed = token[:index] + ("A" if letter != "A" else "B") + token[index + 1 :]
        with pytest.raises(PositionUnreadable):
            seals.open_places("acme", changed)


@pytest.mark.parametrize("junk", ["", "A", "AAAA", "not base64!", "\u20ac", "=" * 40, "a" * 10_000])
def test_junk_is_no_position(junk: str, seals: Seals) -> None:
    with pytest.raises(PositionUnreadable):
        seals.open_places("acme", junk)


def test_a_token_is_good_for_one_tenant_and_one_purpose(seals: Seals) -> None:
    token = seals.seal(Purpose.CURSOR, "acme", b"64 positions")

    assert seals.open(Purpose.CURSOR, "acme", token) == b"64 positions"
    with pytest.raises(CursorUnreadable):
        seals.open(Purpose.CURSOR, "other", token)
    with pytest.raises(PageTokenUnreadable):
        seals.open(Purpose.PAGE_TOKEN, "acme", token)


def test_a_position_says_nothing_about_itself(seals: Seals) -> None:
    first, second = (seals.seal_places("acme", PLACES) for _ in range(2))

    assert first != second


def test_old_tokens_open_while_their_key_is_kept(seals: Seals) -> None:
    token = Seals([OLD]).seal_places("acme", PLACES)

    assert seals.open_places("acme", token) == PLACES
    with pytest.raises(PositionUnreadable):
        Seals([NEW]).open_places("acme", token)
