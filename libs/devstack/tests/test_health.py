"""What an operator is told at three in the morning: what is wrong, why, and what to do."""

import pytest

from devstack import health
from devstack.consumers import Progress
from devstack.health import of_process
from devstack.stack import State


def _process(state: str) -> State:
    return State("workshop", state, "127.0.0.1:1", "gRPC")


@pytest.mark.parametrize("state", ["down", "ended", "stopped"])
def test_no_consumer_runs_in_a_process_that_does_not(state: str) -> None:
    line = of_process(Progress("workshop.roster", "workshop"), _process(state))

    assert line.state == state
    assert line.reason.startswith("its process workshop ")


@pytest.mark.parametrize("state", ["ready", "not ready"])
def test_a_consumer_of_a_living_process_is_what_it_says(state: str) -> None:
    line = Progress("workshop.roster", "workshop")

    assert of_process(line, _process(state)) == line


def test_why_a_consumer_had_halted_is_not_forgotten_when_its_process_ends() -> None:
    halted = Progress("workshop.roster", "workshop", state="halted", reason="another epoch")

    assert "before, it was halted: another epoch" in of_process(halted, _process("ended")).reason


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (Progress("a", "workshop"), []),
        (Progress("a", "workshop", lag_events=7), []),
        (Progress("a", "workshop", state="halted", reason="why"), ["halted: why"]),
        (Progress("a", "workshop", state="held up", reason="why"), ["held up: why"]),
        (Progress("a", "workshop", state="ended", reason="why"), []),
        (
            Progress("a", "workshop", parked_streams=1, parked_events=2),
            ["2 events of 1 streams are parked"],
        ),
        (Progress("a", "workshop", rebuild_needed=1), ["rebuild needed: 1 events were skipped"]),
    ],
)
def test_what_of_a_consumer_somebody_must_look_at(line: Progress, told: list[str]) -> None:
    assert [wrong.what for wrong in health.of_consumers([line])] == told
