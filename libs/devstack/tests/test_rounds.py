"""The audit verified again and again, by a clock that a test turns."""

import math
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from devstack.cli import app
from devstack.failure import StackFailure
from devstack.rounds import METRIC, Rounds, interval, served

HOUR = timedelta(hours=1)


class Day(Event):
    """A day on which nobody has to wait; at its end the job is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        if self.seconds >= 86_400:
            self.set()
        return self.is_set()


@dataclass
class Job:
    """One that verifies by a word: whether all holds, or what keeps it from being found out."""

    holds: Callable[[], bool]
    day: Day = field(default_factory=Day)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rounds = Rounds(self.holds, HOUR, self.said.append, now=lambda: self.day.seconds)

    def run(self) -> bool:
        return self.rounds.run(self.day)


def test_it_verifies_once_in_each_interval_until_it_is_told_to_end() -> None:
    times = list[float]()

    def holds() -> bool:
        times.append(job.day.seconds)
        job.day.seconds += 600  # it takes its time, which the next round does not wait for
        return True

    job = Job(holds)

    assert job.run()
    assert times == [3600.0 * number for number in range(24)]


def test_the_age_is_that_of_what_was_verified_last() -> None:
    job = Job(lambda: True)
    before = job.rounds.age()

    job.run()
    job.day.seconds += 7200

    assert (before, job.rounds.age()) == (math.inf, 3600 + 7200)


def test_something_wrong_ends_it_at_once() -> None:
    answers = iter([True, False])
    job = Job(lambda: next(answers))

    assert not job.run()
    assert job.day.seconds == 3600


def test_a_database_that_is_away_is_asked_again_and_the_age_grows() -> None:
    def holds() -> bool:
        raise StackFailure("the audit database does not answer", hint="is it up?")

    job = Job(holds)

    assert job.run()
    assert len(job.said) == 24
    assert job.rounds.age() == math.inf


def test_the_age_is_a_metric() -> None:
    job = Job(lambda: True)
    port = served(job.rounds, 0)
    job.run()

    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        scraped = answer.read().decode()

    assert f"{METRIC} 3600.0" in scraped


def test_a_port_that_is_taken_is_no_reason_to_verify_unseen() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StackFailure, match="cannot be served on port"),
    ):
        served(Job(lambda: True).rounds, taken.getsockname()[1])


@pytest.mark.parametrize(
    ("text", "length"),
    [("10s", timedelta(seconds=10)), ("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("1h", HOUR), ("7d", timedelta(days=7))],
)  # fmt: skip
def test_an_interval_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert interval(text) == length


@pytest.mark.parametrize("text", ["9s", "8d", "0h", "1", "h", "-1h", "1.5h", "1h30m", "soon"])
def test_an_interval_has_bounds(text: str) -> None:
    with pytest.raises(StackFailure, match="is no interval"):
        interval(text)


def test_an_interval_is_checked_before_anything_is_verified() -> None:
    done = CliRunner().invoke(app, ["audit", "verify", "--every", "1s"])

    assert isinstance(done.exception, StackFailure)
    assert done.exception.message == "1s is no interval"
