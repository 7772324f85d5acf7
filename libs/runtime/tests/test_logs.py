import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from runtime import logs
from runtime.settings import Telemetry
from testkit.tokens import Issuer

VIN = "1HGBH41JXMN109186"
MAILBOX = re.compile(r"[\w.+-]{2}")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_fact_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Telemetry(), "workshop")

    structlog.get_logger().info("job_scheduled", job_id="j-1")

    (line,) = lines(capsys)
    assert (line["event"], line["job_id"], line["service"]) == ("job_scheduled", "j-1", "workshop")


def test_libraries_speak_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Telemetry(), "workshop")

    logging.getLogger("grpc").warning("lost %s", "a broker")

    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("lost a broker", "warning")


def test_what_is_private_does_not_get_through(
    issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(Telemetry(), "workshop")
    token = issuer.token()

    structlog.get_logger().info(
        "call_refused",
        plate="B-AY 1042",
        headers={"authorization": f"Bearer {token}"},
        cause=f"no vehicle {VIN} for {token} at postgresql://app:canary@host/db",
        contacts=["driver@example.test"],
    )
    try:
        int(f"vehicle {VIN} again")
    except ValueError:
        structlog.get_logger().exception("call_failed")

    written = capsys.readouterr().out
    for secret in (VIN, token, "B-AY", "canary", "driver@"):
        assert secret not in written
    assert written.count(logs.REDACTED) >= 6


def test_ids_and_numbers_get_through(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Telemetry(), "workshop")
    ours = {"job_id": "0190e6a0-7c3f-7d2e-8b4a-3f5c9d1e2a6b", "method": "/x.v1.WorkshopService/Get"}

    structlog.get_logger().info("job_read", version=7, **ours)

    (line,) = lines(capsys)
    assert ours.items() <= line.items()


def test_columns_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Telemetry(logs="columns"), "workshop")

    try:
        int(f"vehicle {VIN}")
    except ValueError:
        structlog.get_logger().exception("relay_stopped", events=7)

    written = capsys.readouterr().out
    assert "relay_stopped" in written
    assert "ValueError" in written
    assert VIN not in written


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("eyJhbGciOi.eyJzdWIi.c2ln", "[redacted]"),
        ("\\neyJhbGciOi.eyJzdWIi.c2ln.", "\\n[redacted]."),
        ("key_eyJeyJ.a.", "key_[redacted]"),
        ("eyJ is how a token begins, eyJa.b", "eyJ is how a token begins, eyJa.b"),
        ("eyJohn.doe@example.test", "[redacted]"),
        ("to x.y+z@example.test, eyJa", "to [redacted], eyJa"),
        ("a@b@example.test", "a@[redacted]"),
        ("http://ada:secret@host http://ada@host", "http://[redacted]@host http://ada@host"),
        (f"vin={VIN};{VIN.lower()}", f"vin=[redacted];{VIN.lower()}"),
        ("ABCDEFGHJKLMNPRST", "ABCDEFGHJKLMNPRST"),
    ],
)
def test_a_secret_is_found_wherever_it_stands_and_nothing_else(before: str, after: str) -> None:
    assert logs.redacted("cause", before) == after


RUNS = ("a" * 100, "eyJ" * 100, "a.b-" * 100, "a@" * 100, "://a:" * 100, "A" * 100, "eyJa." * 100)


@pytest.mark.parametrize("pattern", [logs.TOKEN, logs.PRIVATE_VALUES])
def test_no_pattern_goes_back_over_what_it_has_read(pattern: re.Pattern[str]) -> None:
    """Every unbounded repeat is possessive."""
    others = re.sub(r"\[[^]]*\]|[*+?]\+", "", pattern.pattern)

    assert "*" not in others
    assert "+" not in others


@pytest.mark.parametrize("run", RUNS)
def test_a_run_of_characters_is_read_from_its_beginning_only(run: str) -> None:
    """Where it is no e-mail address from its beginning, no later character begins one either."""
    within = [at for at in range(1, len(run)) if MAILBOX.match(run[at - 1] + run[at])]

    begun = [at for at in within if logs.PRIVATE_VALUES.match(run + "@example.test", at)]

    assert begun == []
