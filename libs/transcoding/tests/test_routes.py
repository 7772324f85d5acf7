from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kernel.errors import RuleViolated

KEY = "a-key-of-mine-1"
LINES = [{"sku": "NUT-8", "quantity": 3}]


class OrderNotOpen(RuleViolated):
    pass


async def test_a_body_becomes_the_request(client: Any, handler: Any, shop: Any) -> None:
    handler.response = shop.new("Order", name="orders/1", etag="1", state=1)

    answer = await client("POST", "/v1/orders", {"lines": LINES}, idempotency_key=KEY)

    [call] = handler.calls
    assert call.method == "PlaceOrder"
    assert call.request == shop.new("PlaceOrderRequest", request_id=KEY, lines=LINES)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "name": "orders/1",
        "etag": "1",
        "state": "ORDER_STATE_OPEN",
        "lines": [],
    }


async def test_a_path_variable_is_the_whole_resource_name(
    client: Any, handler: Any, shop: Any
) -> None:
    await client("GET", "/v1/orders/7")
    await client("GET", "/v1/shops/oslo/orders/7")

    assert [call.request for call in handler.calls] == [
        shop.new("GetOrderRequest", name="orders/7"),
        shop.new("GetOrderRequest", name="shops/oslo/orders/7"),
    ]


async def test_a_custom_verb_is_not_part_of_the_id(client: Any, handler: Any, shop: Any) -> None:
    answer = await client("POST", "/v1/orders/7:pay", idempotency_key=KEY)

    [call] = handler.calls
    assert answer.status == 200
    assert call.method == "PayOrder"
    assert call.request == shop.new("PayOrderRequest", name="orders/7", request_id=KEY)


async def test_an_unknown_custom_verb_is_not_found(client: Any, handler: Any) -> None:
    answer = await client("POST", "/v1/orders/7:eat", idempotency_key=KEY)

    assert answer.status == 404
    assert handler.calls == []


async def test_an_internal_method_has_no_route(client: Any) -> None:
    answer = await client("POST", "/v1/shop:repair")

    assert answer.status == 404


async def test_a_wrong_method_is_told_what_is_allowed(client: Any) -> None:
    answer = await client("DELETE", "/v1/orders")

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_a_body_may_be_one_field(client: Any, handler: Any, shop: Any) -> None:
    await client(
        "PATCH", "/v1/orders/7/address", {"city": "Oslo"}, "dryRun=true", idempotency_key=KEY
    )

    [call] = handler.calls
    assert call.request == shop.new(
        "ChangeAddressRequest",
        name="orders/7",
        request_id=KEY,
        address={"city": "Oslo"},
        dry_run=True,
    )


@pytest.mark.parametrize(("times", "status"), [(4, 200), (5, 400), (90, 400)])
async def test_a_repeated_query_parameter_is_read_as_far_as_its_bound(
    client: Any, handler: Any, times: int, status: int
) -> None:
    beyond = "&states=NO_STATE" * (times - 5)

    answer = await client(
        "GET", "/v1/orders", query="&states=ORDER_STATE_OPEN" * min(times, 5) + beyond
    )

    assert answer.status == status
    if status == 400:
        told = [{"pointer": "/states", "detail": "has more than 4 elements"}]
        assert answer.json["errors"] == told
    assert len(handler.calls) == (1 if status == 200 else 0)


async def test_query_parameters_fill_the_request(client: Any, handler: Any, shop: Any) -> None:
    query = (
        "pageSize=5&states=ORDER_STATE_OPEN&states=ORDER_STATE_PAID&filter.sku=NUT-8"
        "&filter.openOnly=true&filter.placedFrom=2026-11-24T09:00:00+01:00"
    )

    await client("GET", "/v1/orders", query=query)

    [call] = handler.calls
    expected = shop.new(
        "ListOrdersRequest",
        page_size=5,
        states=[1, 2],
        filter={"sku": "NUT-8", "open_only": True},
    )
    expected.filter.placed_from.FromJsonString("2026-11-24T08:00:00Z")
    assert call.request == expected


async def test_every_wrong_query_parameter_is_named(client: Any) -> None:
    answer = await client(
        "GET", "/v1/orders", query="pagesize=5&pageToken=a&pageToken=b&filter.openOnly=yes&x=1"
    )

    assert answer.status == 400
    assert answer.json["reason"] == "INVALID_PARAMETER"
    assert answer.json["errors"] == [
        {
            "pointer": "/pagesize",
            "detail": 'unknown query parameter "pagesize"; did you mean pageSize',
        },
        {"pointer": "/pageToken", "detail": "may be given only once"},
        {
            "pointer": "/x",
            "detail": 'unknown query parameter "x"; known are pageSize, pageToken, states, '
            "filter.sku, filter.openOnly, filter.placedFrom",
        },
        {"pointer": "/filter/openOnly", "detail": "expected true or false"},
    ]


async def test_a_field_of_the_body_is_no_query_parameter(client: Any) -> None:
    answer = await client("POST", "/v1/orders", {}, "note=x", idempotency_key=KEY)

    assert answer.status == 400
    assert answer.json["errors"][0]["pointer"] == "/note"


async def test_a_body_that_contradicts_the_path_is_refused(client: Any, handler: Any) -> None:
    body = {"name": "orders/8"}

    answer = await client("POST", "/v1/orders/7:pay", body, idempotency_key=KEY)

    assert answer.status == 400
    assert answer.json["errors"] == [{"pointer": "/name", "detail": "differs from the path"}]
    assert handler.calls == []


async def test_a_body_that_does_not_fit_is_refused_with_every_violation(
    client: Any, handler: Any
) -> None:
    body = {"lines": [{"sku": 5}], "adress": {}}

    answer = await client("POST", "/v1/orders", body, idempotency_key=KEY)

    assert answer.status == 422
    assert answer.json["reason"] == "INVALID_BODY"
    assert [error["pointer"] for error in answer.json["errors"]] == ["/lines/0/sku", "/adress"]
    assert handler.calls == []


@pytest.mark.parametrize("body", [b'{"lines":', b"\xff", b'{"note": "\\ud800"}', b"{}{}"])
async def test_a_body_that_is_not_json_is_refused(client: Any, body: bytes) -> None:
    answer = await client("POST", "/v1/orders", body, idempotency_key=KEY)

    assert answer.status == 400
    assert answer.json["reason"] == "MALFORMED_JSON"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/merge-patch+json", 200),
        ("application/x-www-form-urlencoded", 415),
        ("text/json", 415),
    ],
)
async def test_a_body_must_be_declared_as_json(client: Any, content_type: str, status: int) -> None:
    answer = await client("POST", "/v1/orders", {}, idempotency_key=KEY, content_type=content_type)

    assert answer.status == status


@pytest.mark.parametrize(
    "body",
    [
        b'{"note": "a", "note": "b"}',
        b'{"note": "a", "note": "a"}',
        b'{"note": "a", "\\u006eote": null}',
        b'{"lines": [{"sku": "NUT-8", "quantity": 1, "quantity": 2}]}',
        b'{"note": "\\\\", "note": "\\""}',
        b'{"x": {"y": 1}, "x": {"y": 1}}',
        b'{"x": ' + b"[" * 1_000 + b"]" * 1_000 + b', "x": 1}',
    ],
)
async def test_a_name_that_stands_twice_in_an_object_is_refused(
    client: Any, handler: Any, body: bytes
) -> None:
    answer = await client("POST", "/v1/orders", body, idempotency_key=KEY)

    assert (answer.status, answer.json["reason"]) == (400, "NAME_REPEATED")
    assert handler.calls == []


async def test_a_body_deeper_than_any_message_is_a_refusal_too(client: Any) -> None:
    body = b'{"note": ' + b"[" * 1_000 + b"]" * 1_000 + b"}"

    answer = await client("POST", "/v1/orders", body, idempotency_key=KEY)

    assert (answer.status, answer.json["reason"]) == (422, "INVALID_BODY")


async def test_the_same_name_may_stand_in_every_object(client: Any, handler: Any) -> None:
    note = b'"note": "\\"lines\\": \\\\"'
    body = b'{"lines": [{"sku": "NUT-8", "quantity": 1}, {"sku": "NUT-9", "quantity": 1}], %b}'

    await client("POST", "/v1/orders", body % note, idempotency_key=KEY)

    [call] = handler.calls
    assert (len(call.request.lines), call.request.note) == (2, '"lines": \\')


async def test_a_body_is_missed_where_one_is_needed_and_nowhere_else(
    client: Any, handler: Any
) -> None:
    needed = await client("POST", "/v1/orders", idempotency_key=KEY)
    not_needed = await client("POST", "/v1/orders/7:pay", idempotency_key=KEY)

    assert (needed.status, needed.json["reason"]) == (400, "BODY_MISSING")
    assert not_needed.status == 200
    assert [call.method for call in handler.calls] == ["PayOrder"]


@pytest.mark.parametrize(("parameters", "read"), [(100, 100), (101, 0)])
async def test_a_query_is_read_up_to_a_hundred_parameters(
    client: Any, parameters: int, read: int
) -> None:
    query = "&".join(f"unknown{number}=1" for number in range(parameters))

    answer = await client("GET", "/v1/orders", query=query)

    assert (answer.status, answer.json["reason"]) == (400, "INVALID_PARAMETER")
    assert len(answer.json["errors"]) == read
    assert read or "at most 100 parameters" in answer.json["detail"]


async def test_whoever_is_not_admitted_is_refused_before_anything_is_parsed(
    shop: Any, handler: Any, refusing: Any
) -> None:
    client = refusing({shop.service: handler})

    answer = await client("POST", "/v1/orders", b"{", query="x=y", accept="nothing")

    assert (answer.status, answer.json["reason"]) == (409, "NOT_ADMITTED")


async def test_an_admission_ends_with_the_answer_however_it_ends(
    shop: Any, handler: Any, mounted: Any
) -> None:
    inside: list[str] = []

    @contextmanager
    def admit(method: Any, _: Any) -> Iterator[None]:
        inside.append(method.name)
        try:
            yield
        finally:
            inside.remove(method.name)

    client = mounted({shop.service: handler}, admit=admit)
    handler.messages, handler.goes_on = [shop.new("OrderChange", cursor="c1")], True
    exchange = client.open("GET", "/v1/orders:stream")
    await exchange.until(b"c1")

    open_meanwhile = list(inside)
    await exchange.leave()

    assert (open_meanwhile, inside) == (["StreamOrders"], [])


async def test_a_body_where_none_is_taken_is_refused(client: Any) -> None:
    refused = await client("POST", "/v1/shop:close", {"at": "noon"})
    closed = await client("POST", "/v1/shop:close", {})

    assert refused.status == 422
    assert refused.json["errors"] == [{"pointer": "", "detail": "this method takes no body"}]
    assert (closed.status, closed.json) == (200, {})


async def test_a_command_needs_a_key(client: Any, handler: Any) -> None:
    answer = await client("POST", "/v1/orders", {"requestId": KEY})

    assert answer.status == 400
    assert answer.json["reason"] == "IDEMPOTENCY_KEY_REQUIRED"
    assert handler.calls == []


@pytest.mark.parametrize("key", ["short", "x" * 129, "with a space", "schlüssel-nummer-1"])
async def test_a_key_is_8_to_128_printable_characters(client: Any, key: str) -> None:
    answer = await client("POST", "/v1/orders", {}, idempotency_key=key)

    assert answer.status == 400
    assert answer.json["reason"] == "INVALID_HEADER"


async def test_the_key_may_stand_in_the_body_too_but_not_another(client: Any) -> None:
    same = await client("POST", "/v1/orders", {"requestId": KEY}, idempotency_key=KEY)
    other = await client("POST", "/v1/orders", {"requestId": KEY}, idempotency_key=f"{KEY}-b")

    assert same.status == 200
    assert (other.status, other.json["reason"]) == (400, "INVALID_HEADER")


async def test_if_match_is_the_expected_version(client: Any, handler: Any) -> None:
    await client("POST", "/v1/orders/7:pay", idempotency_key=KEY, if_match='"7"')
    await client("POST", "/v1/orders/7:pay", idempotency_key=KEY, if_match="*")

    assert [call.request.etag for call in handler.calls] == ["7", ""]


@pytest.mark.parametrize("tag", ['W/"7"', "7", '"7", "8"', '"7'])
async def test_if_match_must_be_one_strong_tag(client: Any, handler: Any, tag: str) -> None:
    answer = await client("POST", "/v1/orders/7:pay", idempotency_key=KEY, if_match=tag)

    assert (answer.status, answer.json["reason"]) == (400, "INVALID_HEADER")
    assert answer.json["header"] == "If-Match"
    assert handler.calls == []


async def test_if_match_and_another_etag_are_refused(client: Any) -> None:
    answer = await client(
        "POST", "/v1/orders/7:pay", {"etag": "8"}, idempotency_key=KEY, if_match='"7"'
    )

    assert (answer.status, answer.json["reason"]) == (400, "INVALID_HEADER")


async def test_a_precondition_that_cannot_be_judged_is_refused(client: Any) -> None:
    answer = await client("POST", "/v1/orders", {}, idempotency_key=KEY, if_match='"7"')

    assert (answer.status, answer.json["reason"]) == (400, "INVALID_HEADER")


async def test_what_the_service_says_becomes_headers(client: Any, handler: Any, shop: Any) -> None:
    handler.said = [
        ("bayline-version", "8"),
        ("bayline-position", "sealed"),
        ("bayline-replayed", "true"),
    ]

    answer = await client("POST", "/v1/orders/7:pay", idempotency_key=KEY)

    assert answer.headers["etag"] == '"8"'
    assert answer.headers["bayline-position"] == "sealed"
    assert answer.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("known", "status"),
    [('"7"', 304), ('W/"7"', 304), ('"6", "7"', 304), ("*", 304), ('"6"', 200), ('"77"', 200)],
)
async def test_a_read_that_is_known_already_has_no_body(
    client: Any, handler: Any, shop: Any, known: str, status: int
) -> None:
    handler.response = shop.new("Order", name="orders/7", etag="7")

    answer = await client("GET", "/v1/orders/7", if_none_match=known)

    assert answer.status == status
    assert answer.headers["etag"] == '"7"'
    assert bool(answer.body) == (status == 200)


async def test_head_answers_the_headers_of_get(client: Any, handler: Any, shop: Any) -> None:
    handler.response = shop.new("Order", name="orders/7", etag="7")

    answer = await client("HEAD", "/v1/orders/7")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["etag"] == '"7"'
    assert int(answer.headers["content-length"]) > 0


async def test_identity_position_and_trace_are_handed_on(client: Any, handler: Any) -> None:
    await client(
        "GET",
        "/v1/orders/7",
        authorization="Bearer t",
        bayline_after="sealed",
        bayline_correlation_id="c-1",
        traceparent="00-1-2-01",
        bayline_tenant="another",
        cookie="x",
    )

    [call] = handler.calls
    assert call.metadata == {
        "authorization": "Bearer t",
        "bayline-after": "sealed",
        "bayline-correlation-id": "c-1",
        "traceparent": "00-1-2-01",
    }


async def test_a_refusal_of_the_service_reaches_the_app(client: Any, handler: Any) -> None:
    handler.error = OrderNotOpen("order 7 is paid already", order="7")

    answer = await client("POST", "/v1/orders/7:pay", idempotency_key=KEY)

    assert answer.status == 409
    assert answer.json["reason"] == "ORDER_NOT_OPEN"
