from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody

from kernel.errors import NotFound
from transcoding.bodies import BodyBroken
from transcoding.openapi import document

PIXELS = b"\x89PNG\r\n"


class OrderNotFound(NotFound):
    pass


def image(*parts: bytes) -> list[HttpBody]:
    return [HttpBody(content_type="image/png", data=part) for part in parts]


async def test_a_file_is_sent_as_it_is_under_its_own_type(client: Any, handler: Any) -> None:
    handler.messages = image(PIXELS, b"more")

    answer = await client("GET", "/v1/orders:download", accept="application/json")

    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert answer.body == PIXELS + b"more"


async def test_a_refused_file_is_a_plain_problem(client: Any, handler: Any) -> None:
    handler.error = OrderNotFound("no such order")

    answer = await client("GET", "/v1/orders:download")

    assert (answer.status, answer.json["reason"]) == (409, "ORDER_NOT_FOUND")


async def test_lines_that_break_end_with_a_problem(client: Any, handler: Any) -> None:
    handler.messages = [HttpBody(content_type="application/x-ndjson", data=b"{}\n")]
    handler.error = OrderNotFound("it went away")

    answer = await client("GET", "/v1/orders:download")

    assert answer.body.startswith(b'{}\n{"problem":{"reason":"ORDER_NOT_FOUND"')


async def test_a_file_that_breaks_is_cut_off_and_never_looks_whole(
    client: Any, handler: Any
) -> None:
    handler.messages, handler.error = image(PIXELS), OrderNotFound("it went away")

    with pytest.raises(BodyBroken):
        await client("GET", "/v1/orders:download")


def test_a_file_is_documented_by_its_media_types(shop: Any) -> None:
    found = document([shop.service], "Shop", "1", {})

    answer = found["paths"]["/v1/orders:download"]["get"]["responses"]["200"]
    assert set(answer["content"]) == {"application/x-ndjson", "image/png"}
    assert "HttpBody" not in found["components"]["schemas"]
