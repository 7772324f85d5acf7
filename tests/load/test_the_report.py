import json
from pathlib import Path

import pytest

from tests.load import report
from tests.load.generator import Answer, Answers
from tests.load.report import Goal, Part, Report, Row

SLOW = Row("command p99", 17.5, "ms", 5.0, "bare INSERT", (Goal("<=", 15),))
RICH = Row("replay", 26_000, "events/s", 50_000, "bare unnest", (Goal(">=", 20_000), Goal(">=", 0.4, of="ratio")))  # fmt: skip
PLAIN = Row("cold start", 20.123456, "s")


def test_a_figure_stands_beside_its_baseline_and_its_goal() -> None:
    assert SLOW.json() == {
        "name": "command p99",
        "value": 17.5,
        "unit": "ms",
        "baseline": 5.0,
        "against": "bare INSERT",
        "ratio": 3.5,
        "goal": "<= 15",
        "met": False,
    }


def test_a_goal_may_be_of_the_ratio_and_all_must_be_met() -> None:
    poor = Row("replay", 26_000, "events/s", 100_000, "bare unnest", RICH.goals)

    assert [RICH.met, poor.met] == [True, False]


def test_what_has_no_goal_is_neither_met_nor_missed() -> None:
    assert PLAIN.json()["met"] is None


def test_the_page_and_the_rows_are_of_the_same_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "LATEST", tmp_path / "build" / "latest.json")
    monkeypatch.setattr(report, "PAGE", tmp_path / "bench.md")
    found = Report([Part("Requests", "How.", (SLOW, PLAIN), notes=["A note."])], "2 cores")

    found.write()
    found.publish()

    rows = json.loads(report.LATEST.read_text())
    assert [row["name"] for row in rows] == ["command p99", "cold start"]
    assert "| command p99 | 17.5 | ms | 5 | bare INSERT | 3.5 | <= 15 | no |" in (
        report.PAGE.read_text().splitlines()
    )


def test_latency_counts_from_when_a_request_was_due() -> None:
    held_up = Answer(number=1, sent=1_000.5, took=0.01, status=200, error="", body=b"")
    first = Answer(number=0, sent=1_000.0, took=0.01, status=200, error="", body=b"")
    answers = Answers([first, held_up], rate=10)

    assert round(answers.milliseconds(100)) == 410
    assert round(answers.lateness(100)) == 400


def test_whoever_was_not_answered_was_refused() -> None:
    silent = Answer(number=0, sent=1_000.0, took=30, status=0, error="timeout", body=b"")

    assert Answers([silent]).refused == [silent]
