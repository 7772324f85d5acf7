from datetime import UTC, datetime

import pytest
import typer

from devstack.streams import moment

QUARTER_PAST = datetime(2026, 11, 24, 8, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "printed",
    [
        "2026-11-24T08:15:00",
        "2026-11-24 08:15:00",
        "2026-11-24T08:15:00Z",
        "2026-11-24T08:15:00.000000Z",
        "2026-11-24T08:15:00+00:00",
        "2026-11-24T09:15:00+01:00",
    ],
)
def test_a_time_is_read_in_every_form_that_a_command_prints(printed: str) -> None:
    assert moment(printed) == QUARTER_PAST


def test_a_day_begins_at_midnight() -> None:
    assert moment("2026-11-24") == datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "", "24.11.2026"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time"):
        moment(text)
