import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest

from transcoding.handlers import GrpcHandler


class ShopServer:
    """A real gRPC server on a port of its own, with the three kinds of answer."""

    def __init__(self, shop: Any) -> None:
        self._shop = shop
        self.cancelled = asyncio.Event()

    async def pay(self, request: Any, context: Any) -> Any:
        if request.name == "orders/0":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
        if request.name == "orders/slow":
            await asyncio.Event().wait()
        sent = dict(context.invocation_metadata())
        await context.send_initial_metadata([("bayline-position", sent["bayline-after"])])
        context.set_trailing_metadata([("bayline-version", "8")])
        return self._shop.new("Order", name=request.name)

    async def follow(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            yield self._shop.new("OrderChange", cursor=f"{request.cursor}+1")
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    def handlers(self) -> grpc.GenericRpcHandler:
        def codec(request: str, response: str) -> dict[str, Any]:
            return {
                "request_deserializer": self._shop.message(request).FromString,
                "response_serializer": self._shop.message(response).SerializeToString,
            }

        return grpc.method_handlers_generic_handler(
            "shop.v1.ShopService",
            {
                "PayOrder": grpc.unary_unary_rpc_method_handler(
                    self.pay, **codec("PayOrderRequest", "Order")
                ),
                "StreamOrders": grpc.unary_stream_rpc_method_handler(
                    self.follow, **codec("StreamOrdersRequest", "OrderChange")
                ),
            },
        )


@pytest.fixture
def server(shop: Any) -> ShopServer:
    return ShopServer(shop)


@pytest.fixture
async def peer(server: ShopServer) -> AsyncIterator[GrpcHandler]:
    running = grpc.aio.server()
    running.add_generic_rpc_handlers((server.handlers(),))
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield GrpcHandler(channel, deadline=timedelta(seconds=1))
    await running.stop(None)


async def test_a_call_answers_with_all_that_the_service_said(peer: Any, shop: Any) -> None:
    pay = shop.service.methods_by_name["PayOrder"]

    response, said = await peer.unary(
        pay, shop.new("PayOrderRequest", name="orders/7"), [("bayline-after", "sealed")]
    )

    assert response == shop.new("Order", name="orders/7")
    assert dict(said)["bayline-position"] == "sealed"
    assert dict(said)["bayline-version"] == "8"


@pytest.mark.parametrize(
    ("name", "code"),
    [("orders/0", grpc.StatusCode.NOT_FOUND), ("orders/slow", grpc.StatusCode.DEADLINE_EXCEEDED)],
)
async def test_a_refusal_is_handed_on_as_it_came(
    peer: Any, shop: Any, name: str, code: grpc.StatusCode
) -> None:
    pay = shop.service.methods_by_name["PayOrder"]

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await peer.unary(pay, shop.new("PayOrderRequest", name=name), ())

    assert refusal.value.code() is code


async def test_a_stream_that_is_closed_is_cancelled_at_the_peer(
    peer: Any, server: Any, shop: Any
) -> None:
    follow = shop.service.methods_by_name["StreamOrders"]
    messages = peer.stream(follow, shop.new("StreamOrdersRequest", cursor="c"), ())

    first = await anext(messages)
    await messages.aclose()

    assert first.cursor == "c+1"
    async with asyncio.timeout(5):
        await server.cancelled.wait()
