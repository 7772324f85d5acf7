"""Who was refused is told, as docs/security.md says, and never so often that it fills a disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from gateway.refusals import MOST_TOLD, Refusals
from kernel.errors import Forbidden
from testkit.asgi import Call, FakeHandler, request
from testkit.tokens import Issuer

DOCUMENT = Path(__file__).parents[3] / "docs/security.md"
KINDS = {"text": str, "number": int}
VEHICLE = "/v1/vehicles/0190a5d2-7c1e-7b3a-9f00-000000000001"

Event = Mapping[str, Any]


class NotYours(Forbidden):
    pass


def _schema() -> Mapping[str, Mapping[str, type]]:
    """By event, the fields of the documented table and their kinds."""
    section = DOCUMENT.read_text().split("## Security events\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| `"]
    fields = [(cells[0].strip("`"), cells[1], cells[2].replace("`", "").split()) for cells in rows]
    events = {event for _, _, named in fields for event in named}
    return {
        event: {name: KINDS[kind] for name, kind, named in fields if event in named}
        for event in events
    }


def _told(events: list[Any]) -> list[Event]:
    return [each for each in events if each["event"].startswith("access_refused")]


def _check(event: Event) -> None:
    expected = _schema()[event["event"]]
    assert set(event) - {"event", "log_level"} == set(expected)
    assert {name: type(event[name]) for name in expected} == expected


async def test_a_stranger_is_told_of_with_address_and_route_and_without_the_token(
    app: ASGIApp, issuer: Issuer
) -> None:
    token = issuer.token(aud="other", subject="mallory")

    with capture_logs() as events:
        await _asked(app, VEHICLE, token)

    [event] = _told(events)
    _check(event)
    assert (event["status"], event["reason"], event["client"]) == (
        401,
        "TOKEN_INVALID",
        "203.0.113.7",
    )
    assert (event["route"], event["tenant"], event["subject"]) == ("/v1/vehicles/{vehicle}", "", "")
    assert not any(part in str(event) for part in (token, "mallory", VEHICLE))


@pytest.mark.parametrize("by_the_service", [False, True])
async def test_who_may_not_is_told_of_whoever_refuses(
    app: ASGIApp, issuer: Issuer, service: FakeHandler, by_the_service: bool
) -> None:
    service.answers["GetVehicle"] = NotYours("of another site")
    token = issuer.token(subject="ada", roles=["driver" if by_the_service else "visitor"])

    with capture_logs() as events:
        await _asked(app, VEHICLE, token)

    [event] = _told(events)
    _check(event)
    assert (event["status"], event["subject"], event["tenant"]) == (403, "ada", "acme")
    assert event["reason"] == ("NOT_YOURS" if by_the_service else "PERMISSION_DENIED")
    assert event["log_level"] == "warning"


async def test_who_is_let_in_or_mistaken_is_not_told_of(call: Call) -> None:
    with capture_logs() as events:
        await call("GET", VEHICLE)
        await call("GET", "/v1/nothing")
        await call("POST", "/v1/jobs", {})

    assert _told(events) == []


async def test_repeats_are_counted_and_told_at_the_end_of_the_window(
    app: ASGIApp, refusals: Refusals
) -> None:
    with capture_logs() as events:
        for _ in range(500):
            await _asked(app, VEHICLE, "x.y.z")
        refusals.end_window()
        refusals.end_window()

    first, again = _told(events)
    _check(again)
    assert (first["event"], again["event"]) == ("access_refused", "access_refused_again")
    assert again["repeats"] == 499


def test_however_many_are_refused_a_window_has_so_many_lines(refusals: Refusals) -> None:
    with capture_logs() as events:
        for number in range(2 * MOST_TOLD + 7):
            for _ in range(2):
                refusals.record(_scope(f"203.0.113.{number}"), 401, "TOKEN_INVALID")
        refusals.end_window()

    told = _told(events)
    for event in told:
        _check(event)
    assert len(told) == 2 * MOST_TOLD + 1
    assert told[-1] == {
        "event": "access_refused_by_many",
        "repeats": 2 * (MOST_TOLD + 7),
        "log_level": "warning",
    }


def _scope(address: str) -> dict[str, Any]:
    class Unrouted:
        class router:  # noqa: N801 -- as Starlette calls it
            routes = ()

    return {
        "app": Unrouted,
        "method": "GET",
        "client": (address, 1234),
        "bayline.correlation_id": "c-1",
    }


async def _asked(app: ASGIApp, path: str, token: str) -> None:
    headers = {"host": "bayline.test", "authorization": f"Bearer {token}"}
    await request(app, "GET", path, headers)
