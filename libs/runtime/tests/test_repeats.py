import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from runtime import logs
from runtime.repeats import Sparing
from runtime.settings import Telemetry

WINDOW = 60.0
LOUD = """
import logging
from runtime import logs
from runtime.settings import Telemetry

logs.configure(Telemetry(), "workshop")
for _ in range(1000):
    logging.getLogger("grpc").error("no answer from %s", 1)
"""


@dataclass
class Written:
    """A logger beside those of the process, and what it wrote."""

    most: int = 256
    seconds: float = 0.0
    out: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.handler = Sparing(self.out, window=WINDOW, most=self.most, now=lambda: self.seconds)
        self.handler.setFormatter(logging.Formatter("%(message)s"))
        self.log = logging.Logger("aiokafka")  # noqa: LOG001 -- of this test alone
        self.log.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


class Told(io.StringIO):
    """Knows when a second line was written."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self.getvalue().count("\n") == 2:
            self.twice.set()
        return count


@pytest.fixture
def written() -> Iterator[Written]:
    made = Written()
    yield made
    made.handler.close()


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def test_an_outage_is_one_line_and_a_count(written: Written) -> None:
    for _ in range(29_000):
        written.log.error("Unable connect to node with id %s", 1)
    written.handler.close()

    assert written.lines == ["Unable connect to node with id 1"] * 2


def test_whoever_says_it_once_is_not_counted(written: Written) -> None:
    written.log.error("lost a broker")
    written.handler.close()

    assert written.lines == ["lost a broker"]


def test_while_it_goes_on_it_is_told_once_in_each_window(written: Written) -> None:
    for second in range(180):
        written.seconds = second
        written.log.error("lost a broker")

    assert len(written.lines) == 3


def test_what_was_silent_for_a_window_is_news_again(written: Written) -> None:
    written.log.error("lost a broker")
    written.seconds = WINDOW
    written.log.error("lost a broker")

    assert len(written.lines) == 2


def test_different_facts_are_different_errors(written: Written) -> None:
    for node in range(3):
        written.log.error("Unable connect to node with id %s", node)
    for error in (ValueError("a"), ValueError("b")):
        written.log.error("consumer failed", exc_info=error)
    written.log.warning("consumer failed")

    said = [line for line in written.lines if line.startswith(("Unable", "consumer"))]
    assert len(said) == 6


def test_ordinary_facts_are_never_held_back(written: Written) -> None:
    for _ in range(3):
        written.log.info("job_scheduled")

    assert len(written.lines) == 3


def test_what_is_remembered_is_bounded_and_nothing_is_lost_by_it() -> None:
    written = Written(most=10)
    for _ in range(2):
        written.log.error("the first")
    for number in range(1000):
        written.log.error("error %d", number)

    assert len(written.handler._said) == 10
    assert written.lines.count("the first") == 2
    written.handler.close()


def test_a_line_that_cannot_be_formatted_does_not_hurt_who_says_it(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    written.log.error("%d apples", "many")

    assert "--- Logging error ---" in capsys.readouterr().err


def test_who_falls_silent_is_counted_all_the_same() -> None:
    out = Told()
    handler = Sparing(out, window=0.01)
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"msg": "lost", "levelno": logging.ERROR}))

    assert out.twice.wait(10)
    handler.close()


@pytest.mark.usefixtures("_logging_as_before")
def test_a_count_is_a_fact_of_ours_and_of_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Telemetry(), "workshop")
    for _ in range(4):
        structlog.get_logger().warning("relay_restarted", log="JobEvent", error="OSError()")
        logging.getLogger("grpc").error("no answer from %s", [1])
    structlog.get_logger().warning("relay_restarted", log="SiteEvent", error="OSError()")
    logging.getLogger().handlers[0].close()

    told = [(line["event"], line.get("log"), line.get("repeated")) for line in _lines(capsys)]
    assert told == [
        ("relay_restarted", "JobEvent", None),
        ("no answer from [1]", None, None),
        ("relay_restarted", "SiteEvent", None),
        ("relay_restarted", "JobEvent", 3),
        ("no answer from [1]", None, 3),
    ]


def test_a_process_that_ends_tells_what_it_has_counted() -> None:
    done = subprocess.run([sys.executable, "-c", LOUD], check=True, capture_output=True, text=True)  # noqa: S603 -- our own words

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("repeated") for line in told] == [None, 999]


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]
