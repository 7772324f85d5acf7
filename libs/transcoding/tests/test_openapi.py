import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from transcoding.comments import comments
from transcoding.contract import bindings
from transcoding.json import parser
from transcoding.openapi import document

PROBLEMS = {
    "NUMBER_TAKEN": (409, "The number is taken"),
    "ORDER_NOT_OPEN": (409, "The order is not open"),
    "UNAUTHENTICATED": (401, "There is no valid token"),
}


@pytest.fixture(scope="session")
def api(shop: Any) -> Any:
    return document(
        [shop.service],
        "Shop",
        "1.2.3",
        PROBLEMS,
        common=["UNAUTHENTICATED"],
        comments=comments(shop.files),
        openid_url="https://login.example/.well-known/openid-configuration",
        server="https://shop.example",
    )


def walk(node: Any) -> Iterator[Any]:
    yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(each)


def schema(api: Any, name: str) -> Any:
    return api["components"]["schemas"][name]


def test_every_binding_is_described_at_its_path(api: Any, shop: Any) -> None:
    described = {(verb, path) for path, item in api["paths"].items() for verb in item}

    assert described == {(each.verb.lower(), each.path) for each in bindings([shop.service])}
    assert "/v1/shops/{shop}/orders/{order}" in api["paths"]
    assert "/v1/orders/{order}:pay" in api["paths"]
    assert "/v1/shop:repair" not in api["paths"]


def test_every_reference_leads_somewhere(api: Any) -> None:
    references = {node["$ref"] for node in walk(api) if isinstance(node, dict) and "$ref" in node}

    for reference in references:
        target = api
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target


def test_every_path_parameter_is_declared(api: Any) -> None:
    for path, item in api["paths"].items():
        for operation in item.values():
            declared = {
                each["name"] for each in operation["parameters"] if each.get("in") == "path"
            }
            assert declared == set(re.findall(r"{(\w+)}", path))


def test_operation_ids_are_unique_and_regular(api: Any) -> None:
    ids = [
        operation["operationId"] for item in api["paths"].values() for operation in item.values()
    ]

    assert ids == [
        "placeOrder", "listOrders", "getOrder", "getOrder2", "payOrder", "changeAddress",
        "streamOrders", "exportOrders", "downloadOrders", "closeShop",
    ]  # fmt: skip


def test_the_words_are_those_of_the_protos(api: Any) -> None:
    place = api["paths"]["/v1/orders"]["post"]

    assert place["summary"] == "Places an order"
    assert place["description"] == (
        "Places an order. ALREADY_EXISTS if the number is taken.\n\n"
        "The order stays open until it is paid."
    )
    assert place["tags"] == ["Orders"]
    assert api["tags"][0] == {
        "name": "Orders",
        "description": "Takes orders, and hands them out.",
    }
    assert schema(api, "OrderState")["description"] == (
        "Where an order stands.\n\n- `ORDER_STATE_UNSPECIFIED`: Nothing was said.\n"
        "- `ORDER_STATE_OPEN`: Waits for payment.\n- `ORDER_STATE_PAID`: Paid."
    )


def test_a_body_has_constraints_and_no_header_fields(api: Any) -> None:
    assert schema(api, "PlaceOrderRequest") == {
        "type": "object",
        "description": "Asks for an order.",
        "properties": {
            "lines": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/LineInput"},
                "minItems": 1,
                "maxItems": 50,
                "description": "What is wanted.",
            },
            "address": {
                "$ref": "#/components/schemas/AddressInput",
                "description": "Where it goes.",
            },
            "card": {"type": "string", "description": "Card number, masked."},
            "cashCents": {
                "type": "string",
                "format": "int64",
                "pattern": "^-?[0-9]+$",
                "description": "Cents in cash. At least 0.",
                "examples": ["1250"],
            },
            "note": {"type": "string", "description": "A word to the packer."},
            "patience": {
                "type": "string",
                "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
                "description": "How long it may take. From 60s to 86400s.",
            },
        },
        "required": ["lines"],
        "additionalProperties": False,
    }
    assert schema(api, "LineInput")["properties"] == {
        "sku": {
            "type": "string",
            "pattern": "^(?:[A-Z]{3}-[0-9]+)$",
            "description": "Stock number.",
            "examples": ["NUT-8"],
        },
        "quantity": {
            "type": "integer",
            "format": "int32",
            "minimum": 1,
            "maximum": 99,
            "description": "How many.",
            "examples": [3],
        },
    }
    assert schema(api, "AddressInput")["properties"]["city"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 80,
        "pattern": r"\S",
        "description": "Town.",
        "examples": ["Oslo"],
    }


def test_what_is_answered_has_every_field_that_is_always_there(api: Any) -> None:
    order = schema(api, "Order")

    assert order["required"] == ["name", "etag", "state", "lines"]
    assert order["properties"]["etag"]["readOnly"] is True
    assert "additionalProperties" not in order


def test_a_body_of_one_field_is_that_field(api: Any) -> None:
    body = api["paths"]["/v1/orders/{order}/address"]["patch"]["requestBody"]["content"]

    assert body["application/json"]["schema"]["$ref"] == "#/components/schemas/AddressInput"


def test_a_command_that_carries_all_in_its_path_has_no_body(api: Any) -> None:
    assert "requestBody" not in api["paths"]["/v1/orders/{order}:pay"]["post"]


def test_query_parameters_are_listed_with_their_limits(api: Any) -> None:
    parameters = {
        each["name"]: each for each in api["paths"]["/v1/orders"]["get"]["parameters"][:-1]
    }

    assert list(parameters) == [
        "pageSize", "pageToken", "states", "filter.sku", "filter.openOnly", "filter.placedFrom",
    ]  # fmt: skip
    assert parameters["pageSize"] == {
        "name": "pageSize",
        "in": "query",
        "description": "Most orders of a page.",
        "schema": {
            "type": "integer",
            "format": "int32",
            "minimum": 1,
            "maximum": 200,
            "examples": [50],
        },
    }
    assert parameters["filter.placedFrom"]["schema"] == {"type": "string", "format": "date-time"}


def test_headers_are_those_that_the_method_understands(api: Any) -> None:
    def headers(path: str, verb: str) -> list[str]:
        found = api["paths"][path][verb]["parameters"]
        return [each["$ref"].rsplit("/")[-1] for each in found if "$ref" in each]

    assert headers("/v1/orders", "post") == ["IdempotencyKey"]
    assert headers("/v1/orders/{order}:pay", "post") == ["IdempotencyKey", "IfMatch"]
    assert headers("/v1/orders/{order}", "get") == ["IfNoneMatch", "BaylineAfter"]
    assert headers("/v1/orders", "get") == ["BaylineAfter"]
    assert headers("/v1/orders:stream", "get") == ["LastEventId"]
    assert headers("/v1/shop:close", "post") == []


def test_problems_are_listed_by_status(api: Any) -> None:
    responses = api["paths"]["/v1/orders/{order}:pay"]["post"]["responses"]

    assert list(responses) == ["200", "400", "401", "409", "412", "415", "422", "default"]
    assert "`ORDER_NOT_OPEN`: The order is not open" in responses["409"]["description"]
    assert "`MYSTERY`" in responses["default"]["description"]
    assert api["components"]["examples"]["ORDER_NOT_OPEN"]["value"] == {
        "type": "https://shop.example/problems/order-not-open",
        "title": "The order is not open",
        "status": 409,
        "reason": "ORDER_NOT_OPEN",
    }


def test_a_read_may_answer_that_nothing_changed(api: Any) -> None:
    responses = api["paths"]["/v1/orders/{order}"]["get"]["responses"]

    assert "304" in responses
    assert "ETag" in responses["200"]["headers"]


def test_streams_are_events_or_lines(api: Any) -> None:
    live = api["paths"]["/v1/orders:stream"]["get"]["responses"]["200"]["content"]
    export = api["paths"]["/v1/orders:export"]["get"]["responses"]["200"]["content"]

    assert list(live) == ["text/event-stream", "application/x-ndjson"]
    assert list(export) == ["application/x-ndjson", "text/event-stream"]


def test_every_example_of_a_body_is_taken(api: Any, shop: Any) -> None:
    content = api["paths"]["/v1/orders"]["post"]["requestBody"]["content"]["application/json"]
    place = shop.message("PlaceOrderRequest")

    assert {name: each["value"] for name, each in content["examples"].items()} == {
        "required": {"lines": [{"sku": "NUT-8"}]},
        "complete": {
            "lines": [{"sku": "NUT-8", "quantity": 3}],
            "address": {"city": "Oslo"},
        },
    }
    for each in content["examples"].values():
        assert parser(place)(each["value"], place()) == []


def test_every_example_of_an_answer_is_one(api: Any, shop: Any) -> None:
    for name in ("Order", "ListOrdersResponse", "OrderChange"):
        kind = shop.message(name)
        assert parser(kind)(api["components"]["examples"][name]["value"], kind()) == []


def test_a_stranger_can_paste_the_command(api: Any) -> None:
    [sample] = api["paths"]["/v1/orders"]["post"]["x-codeSamples"]

    assert sample["source"].splitlines() == [
        "curl -s \\",
        "  -X POST \\",
        '  "$BAYLINE/v1/orders" \\',
        '  -H "Authorization: Bearer $TOKEN" \\',
        '  -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)" \\',
        "  -H 'Content-Type: application/json' \\",
        """  -d '{"lines":[{"sku":"NUT-8"}]}'""",
    ]


def test_people_sign_in_with_a_token_or_at_the_issuer(api: Any) -> None:
    assert api["security"] == [{"bearer": []}, {"openid": []}]
    assert set(api["components"]["securitySchemes"]) == {"bearer", "openid"}


def test_the_same_protos_give_the_same_bytes(api: Any, shop: Any) -> None:
    def written() -> str:
        return json.dumps(
            document([shop.service], "Shop", "1", PROBLEMS, comments=comments(shop.files))
        )

    assert written() == written()
