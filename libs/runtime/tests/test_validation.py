from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

import pytest
from google.protobuf.duration_pb2 import Duration

from kernel.errors import Violation
from runtime.validation import MOST_TOLD, RequestInvalid, check, violations

Message: TypeAlias = Any  # compiled while the tests run: no checker can know it
Change: TypeAlias = Callable[[Message], object]

JOB = "jobs/0190e6a0-7c3f-7d2e-8b4a-3f5c9d1e2a6b"


@pytest.fixture
def request_(pb: ModuleType) -> Message:
    return pb.WeighRequest(
        short_title="crate", kind=1, marks=["a", "b"], main_part=pb.Part(part_number="p1")
    )


WRONG: dict[str, tuple[Change, Violation]] = {
    "required text": (
        lambda it: it.ClearField("short_title"),
        Violation("/shortTitle", "is required"),
    ),
    "required enum": (lambda it: it.ClearField("kind"), Violation("/kind", "is required")),
    "required message": (
        lambda it: it.ClearField("main_part"),
        Violation("/mainPart", "is required"),
    ),
    "required list": (lambda it: it.ClearField("marks"), Violation("/marks", "is required")),
    "too short": (
        lambda it: setattr(it, "short_title", "c"),
        Violation("/shortTitle", "has fewer than 2 characters"),
    ),
    "blanks": (
        lambda it: setattr(it, "short_title", " \t\u00a0"),
        Violation("/shortTitle", "is blank"),
    ),
    "too long": (
        lambda it: setattr(it, "short_title", "c" * 9),
        Violation("/shortTitle", "has more than 8 characters"),
    ),
    "pattern": (
        lambda it: setattr(it, "code", "ABCD"),
        Violation("/code", "does not match [A-Z]{3}"),
    ),
    "pattern with a line break": (
        lambda it: setattr(it, "code", "ABC\n"),
        Violation("/code", "does not match [A-Z]{3}"),
    ),
    "a character no database stores": (
        lambda it: setattr(it, "request_id", "a\0b"),
        Violation("/requestId", "contains the character U+0000"),
    ),
    "a character no database stores, in an element": (
        lambda it: it.marks.append("\0"),
        Violation("/marks/2", "contains the character U+0000"),
    ),
    "too little": (lambda it: setattr(it, "grams", -1), Violation("/grams", "is less than 0")),
    "too much": (
        lambda it: setattr(it, "grams", 1001),
        Violation("/grams", "is greater than 1000"),
    ),
    "less than no time": (
        lambda it: setattr(it.effort, "nanos", -1),
        Violation("/effort", "is less than 0 seconds"),
    ),
    "a negative time": (
        lambda it: setattr(it.effort, "seconds", -3_780_000),
        Violation("/effort", "is less than 0 seconds"),
    ),
    "too long a time": (
        lambda it: it.effort.MergeFrom(Duration(seconds=3600, nanos=1)),
        Violation("/effort", "is greater than 3600 seconds"),
    ),
    "a time among others": (
        lambda it: it.rounds.extend([Duration(seconds=1), Duration(nanos=999_999_999)]),
        Violation("/rounds/1", "is less than 1 seconds"),
    ),
    "no number": (
        lambda it: setattr(it, "share", float("nan")),
        Violation("/share", "is not a number"),
    ),
    "another collection": (
        lambda it: setattr(it, "job", JOB.replace("jobs", "sites")),
        Violation("/job", f"is not a name like {JOB}"),
    ),
    "a bare id": (
        lambda it: setattr(it, "job", JOB.removeprefix("jobs/")),
        Violation("/job", f"is not a name like {JOB}"),
    ),
    "an id in capitals": (
        lambda it: setattr(it, "job", "jobs/" + JOB.removeprefix("jobs/").upper()),
        Violation("/job", f"is not a name like {JOB}"),
    ),
    "unknown enum": (lambda it: setattr(it, "kind", 9), Violation("/kind", "is not a known value")),
    "too many": (
        lambda it: it.parts.extend([type(it.main_part)(part_number="p")] * 3),
        Violation("/parts", "has more than 2 elements"),
    ),
    "too few": (lambda it: it.marks.pop(), Violation("/marks", "has fewer than 2 elements")),
    "an element": (
        lambda it: it.marks.append("long"),
        Violation("/marks/2", "has more than 3 characters"),
    ),
    "inside": (
        lambda it: it.main_part.ClearField("part_number"),
        Violation("/mainPart/partNumber", "is required"),
    ),
    "inside an element": (
        lambda it: it.parts.add(part_number="longer"),
        Violation("/parts/0/partNumber", "has more than 5 characters"),
    ),
    "inside a map": (
        lambda it: it.shelves["a/b"].SetInParent(),
        Violation("/shelves/a~1b/partNumber", "is required"),
    ),
    "one of two": (
        lambda it: setattr(it, "left", ""),
        Violation("/left", "has fewer than 2 characters"),
    ),
    "the other of two": (
        lambda it: it.right.SetInParent(),
        Violation("/right/partNumber", "is required"),
    ),
    "a time in no calendar": (
        lambda it: setattr(it.occurred_at, "seconds", 10**15),
        Violation("/occurredAt", "is not in the years 2 to 9998"),
    ),
    "the last hour that a calendar has": (
        lambda it: it.occurred_at.FromJsonString("9999-12-31T23:00:00Z"),
        Violation("/occurredAt", "is not in the years 2 to 9998"),
    ),
    "the year before": (
        lambda it: it.occurred_at.FromJsonString("0001-12-31T23:59:59Z"),
        Violation("/occurredAt", "is not in the years 2 to 9998"),
    ),
    "a span of time that nothing has": (
        lambda it: setattr(it.effort, "nanos", 10**9),
        Violation("/effort", "is out of range"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_broken_rule_names_its_field(name: str, request_: Message) -> None:
    change, expected = WRONG[name]

    change(request_)

    assert violations(request_) == [expected]


def test_what_is_in_order_passes(request_: Message) -> None:
    request_.job, request_.code, request_.share, request_.left = JOB, "ABC", 0, "le"
    request_.shelves["top"].part_number = "p"
    request_.effort.seconds = 3600
    request_.rounds.add(seconds=1)

    assert violations(request_) == []


@pytest.mark.parametrize("text", ["0002-01-01T00:00:00Z", "9998-12-31T23:59:59.999999Z"])
def test_the_first_and_the_last_time_are_times(request_: Message, text: str) -> None:
    request_.occurred_at.FromJsonString(text)

    assert violations(request_) == []


def test_no_time_is_a_time(request_: Message) -> None:
    request_.effort.SetInParent()

    assert violations(request_) == []


def test_what_only_the_server_fills_is_not_looked_at(request_: Message) -> None:
    request_.number = "short"

    assert violations(request_) == []


def test_an_answer_names_as_many_fields_as_fit(request_: Message, pb: ModuleType) -> None:
    request_.parts.extend([pb.Part()] * 500)

    with pytest.raises(RequestInvalid) as raised:
        check(request_)

    assert raised.value.message == "501 fields are wrong in the request"
    assert len(raised.value.violations) == MOST_TOLD


FIRST, LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("moment", "is_let_in"),
    [(FIRST, True), (FIRST - SECOND, False), (LAST, True), (LAST + SECOND, False)],
)
def test_moments_end_a_year_before_the_calendar_does(
    request_: Message, moment: datetime, is_let_in: bool
) -> None:
    request_.occurred_at.FromDatetime(moment)

    assert (violations(request_) == []) == is_let_in


def test_a_moment_that_is_let_in_has_a_date_in_every_zone() -> None:
    zones = [ZoneInfo(name) for name in available_timezones()]

    dates = {at.astimezone(zone) for at in (FIRST, LAST) for zone in zones}

    assert dates == {FIRST, LAST}
