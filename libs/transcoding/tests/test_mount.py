from collections.abc import Mapping
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("Twice", "is bound twice"),
        ("Unknown", "binds title, which its request does not have"),
        ("Nested", "is nested"),
        ("Keyless", "is a command without request_id"),
        ("Upwards", "streams from the client"),
        ("Partial", "not supported"),
    ],
)
def test_a_contract_that_rest_cannot_keep_stops_the_start(
    shop: Any, handler: Any, mounted: Any, service: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        mounted({shop.another(service): handler})


async def test_a_path_may_have_any_depth(shop: Any, handler: Any, mounted: Any) -> None:
    client = mounted({shop.another("Deep"): handler})

    answer = await client("GET", "/v1/files/a/b/c.txt:read")

    [call] = handler.calls
    assert answer.status == 200
    assert call.request.name == "files/a/b/c.txt"


async def test_the_app_renders_what_breaks_a_stream(shop: Any, handler: Any, mounted: Any) -> None:
    def problem(headers: Mapping[bytes, bytes], error: Exception) -> Mapping[str, str]:
        return {"title": f"it broke: {error}", "of": headers[b"x-trip"].decode()}

    client = mounted({shop.service: handler}, problem=problem)
    handler.messages = [shop.new("OrderChange", cursor="c1")]
    handler.error = RuntimeError("disk full")

    answer = await client("GET", "/v1/orders:stream", x_trip="t-42")

    told = b'event: problem\ndata: {"title":"it broke: disk full","of":"t-42"}\n\n'
    assert answer.body.endswith(told)


async def test_a_client_that_leaves_while_it_sends_is_nobodys_error(
    shop: Any, handler: Any, mounted: Any
) -> None:
    client = mounted({shop.service: handler})

    exchange = client.open("POST", "/v1/orders", {}, idempotency_key="a-key-of-mine-1", ends=False)
    await exchange.leave()

    assert handler.calls == []
    assert exchange.answer.status == 0
