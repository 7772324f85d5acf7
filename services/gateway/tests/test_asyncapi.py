"""The AsyncAPI document: every topic and event there is, by the rules of AsyncAPI 3."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from devstack import topology
from gateway import asyncapi
from gateway.main import RECORDS
from messaging.envelope import headers_of
from services.gateway.tests.test_streams import an_event
from testkit.asgi import Call
from transcoding.asyncapi import HEADERS, cases

ALLOWED = {
    "": {
        "asyncapi",
        "info",
        "defaultContentType",
        "servers",
        "channels",
        "operations",
        "components",
    },
    "servers": {"host", "protocol", "variables"},
    "channels": {"address", "description", "servers", "messages", "bindings"},
    "operations": {"action", "channel", "messages"},
}
RECORD_TYPES = [record for records in RECORDS.values() for record in records]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi.build(RECORD_TYPES, "")


async def test_the_gateway_serves_it_to_anybody(call: Call, document: Mapping[str, Any]) -> None:
    answer = await call("GET", "/asyncapi.json", token="")

    assert (answer.status, answer.json) == (200, document)


def test_it_says_where_the_brokers_are_as_far_as_the_gateway_was_told() -> None:
    told, untold = (asyncapi.build(RECORD_TYPES, broker) for broker in ("kafka.test:9092", ""))

    [variable] = told["servers"]["kafka"]["variables"].values()
    assert variable["default"] == "kafka.test:9092"
    [variable] = untold["servers"]["kafka"]["variables"].values()
    assert "default" not in variable


def test_it_has_the_fields_of_asyncapi_3_and_no_others(document: Mapping[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert document.keys() == ALLOWED[""]
    assert {"title", "version"} <= document["info"].keys()
    for section in ("servers", "channels", "operations"):
        for name, each in document[section].items():
            assert each.keys() <= ALLOWED[section], name


def test_every_topic_is_a_channel_and_so_is_what_could_not_be_applied_of_it(
    document: Mapping[str, Any],
) -> None:
    addresses = {each["address"] for each in document["channels"].values()}

    assert addresses == {name for log in topology.logs() for name in (log, f"{log}.dlq")}
    assert {each["bindings"]["kafka"]["partitions"] for each in document["channels"].values()} == {
        topology.PARTITIONS
    }


def test_every_case_of_a_record_is_a_message_of_its_channel(document: Mapping[str, Any]) -> None:
    for record in RECORD_TYPES:
        expected = {case.name for case in cases(record).values()}
        assert document["channels"][record.full_name]["messages"].keys() == expected


def test_every_operation_sends_messages_of_its_own_channel(document: Mapping[str, Any]) -> None:
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        sent = {each["$ref"] for each in operation["messages"]}
        assert operation["action"] == "send"
        assert sent == {f"{channel}/messages/{name}" for name in _at(document, channel)["messages"]}


def test_every_reference_leads_somewhere_and_every_component_is_referred_to(
    document: Mapping[str, Any],
) -> None:
    found = set(_references(document))

    assert all(_at(document, reference) for reference in found)
    for kind, components in document["components"].items():
        assert {f"#/components/{kind}/{name}" for name in components} <= found


def test_the_headers_are_those_that_a_record_has(document: Mapping[str, Any]) -> None:
    written = {name for name, _ in headers_of(an_event(3, 1))}
    described = document["components"]["messageTraits"]["cloudEvent"]["headers"]

    assert set(described["required"]) <= written | {"ce_prevhash"} <= HEADERS.keys()


def test_what_persons_said_is_described_as_sealed(document: Mapping[str, Any]) -> None:
    rejected = document["components"]["schemas"]["JobRejected"]

    assert rejected["properties"]["note"]["$ref"] == "#/components/schemas/Sensitive"


def _at(document: Mapping[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for each in node.values():
            yield from _references(each)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)
