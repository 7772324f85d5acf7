import json
from typing import Any

from kernel.errors import NotFound
from transcoding.streams import Shared


class OrderNotFound(NotFound):
    pass


def changes(shop: Any, count: int) -> list[Any]:
    return [
        shop.new("OrderChange", cursor=f"c{n}", type="OrderPaid", order={"name": f"orders/{n}"})
        for n in range(1, count + 1)
    ]


async def test_events_are_server_sent_events(client: Any, handler: Any, shop: Any) -> None:
    handler.messages = changes(shop, 2)

    answer = await client("GET", "/v1/orders:stream")

    frames = answer.body.decode().split("\n\n")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert frames[0].split("\n")[:2] == ["id: c1", "event: OrderPaid"]
    assert json.loads(frames[0].split("\n")[2].removeprefix("data: ")) == {
        "cursor": "c1",
        "type": "OrderPaid",
        "order": {"name": "orders/1", "etag": "", "state": "ORDER_STATE_UNSPECIFIED", "lines": []},
    }
    assert frames[1].startswith("id: c2\n")


async def test_events_are_lines_when_asked_for(client: Any, handler: Any, shop: Any) -> None:
    handler.messages = changes(shop, 3)

    answer = await client("GET", "/v1/orders:stream", accept="application/x-ndjson")

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["cursor"] for line in answer.body.splitlines()] == ["c1", "c2", "c3"]


async def test_what_many_streams_send_is_written_once_in_each_form(
    client: Any, handler: Any, shop: Any
) -> None:
    [change] = changes(shop, 1)
    told = Shared(change)
    handler.messages = [told]

    first = await client("GET", "/v1/orders:stream")
    change.cursor = "written before"
    again = await client("GET", "/v1/orders:stream")
    lines = await client("GET", "/v1/orders:stream", accept="application/x-ndjson")

    assert again.body == first.body
    assert json.loads(lines.body)["cursor"] == "written before"


async def test_an_export_is_lines_unless_events_are_asked_for(
    client: Any, handler: Any, shop: Any
) -> None:
    handler.messages = [shop.new("Order", name="orders/1")]

    lines = await client("GET", "/v1/orders:export", query="pageSize=5")
    events = await client("GET", "/v1/orders:export", accept="text/event-stream")

    assert json.loads(lines.body)["name"] == "orders/1"
    assert events.body.startswith(b"data: {")


async def test_an_empty_export_is_an_empty_answer(client: Any) -> None:
    answer = await client("GET", "/v1/orders:export")

    assert (answer.status, answer.body) == (200, b"")


async def test_a_stream_goes_on_after_the_last_event_id(client: Any, handler: Any) -> None:
    await client("GET", "/v1/orders:stream", query="cursor=c1")
    await client("GET", "/v1/orders:stream", query="cursor=c1", last_event_id="c9")

    assert [call.request.cursor for call in handler.calls] == ["c1", "c9"]


async def test_silence_is_filled_with_heartbeats(client: Any, handler: Any, shop: Any) -> None:
    handler.messages, handler.goes_on = changes(shop, 1), True

    stream = client.open("GET", "/v1/orders:stream")
    answer = await stream.until(b": keep-alive\n\n: keep-alive\n\n")
    await stream.leave()

    assert answer.body.startswith(b"id: c1\n")


async def test_headers_do_not_wait_for_the_first_message(client: Any, handler: Any) -> None:
    handler.goes_on = True

    stream = client.open("GET", "/v1/orders:stream")
    answer = await stream.until(b": keep-alive")
    await stream.leave()

    assert answer.status == 200


async def test_the_handler_is_closed_when_the_client_goes(
    client: Any, handler: Any, shop: Any
) -> None:
    handler.messages, handler.goes_on = changes(shop, 1), True

    stream = client.open("GET", "/v1/orders:stream")
    await stream.until(b"c1")
    await stream.leave()

    assert handler.closed.is_set()


async def test_a_refusal_before_the_first_message_is_a_plain_problem(
    client: Any, handler: Any
) -> None:
    handler.error = OrderNotFound("no such order")

    answer = await client("GET", "/v1/orders:stream")

    assert (answer.status, answer.json["reason"]) == (409, "ORDER_NOT_FOUND")


async def test_a_stream_that_breaks_ends_with_a_problem(
    client: Any, handler: Any, shop: Any
) -> None:
    handler.messages, handler.error = changes(shop, 1), OrderNotFound("it went away")

    events = await client("GET", "/v1/orders:stream")
    lines = await client("GET", "/v1/orders:stream", accept="application/x-ndjson")

    problem = {"reason": "ORDER_NOT_FOUND", "detail": "it went away"}
    assert json.loads(events.body.rsplit(b"event: problem\ndata: ")[1]) == problem
    assert json.loads(lines.body.splitlines()[1]) == {"problem": problem}


async def test_a_thousand_messages_keep_their_order(client: Any, handler: Any, shop: Any) -> None:
    handler.messages = changes(shop, 1000)

    answer = await client("GET", "/v1/orders:stream", accept="application/x-ndjson")

    cursors = [json.loads(line)["cursor"] for line in answer.body.splitlines()]
    assert cursors == [f"c{n}" for n in range(1, 1001)]


async def test_a_stream_has_no_head(client: Any, handler: Any) -> None:
    answer = await client("HEAD", "/v1/orders:stream")

    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert handler.calls == []
