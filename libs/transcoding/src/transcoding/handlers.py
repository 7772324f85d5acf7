"""Who answers a call: a peer over gRPC, or an object of this process with the same two methods."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeAlias

import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from transcoding.streams import Told

Stub: TypeAlias = Any
"""One of gRPC's multicallables."""

Metadata: TypeAlias = Sequence[tuple[str, str]]


class Handler(Protocol):
    """Raises `DomainError` or `grpc.RpcError`; both go to the app's exception handlers."""

    async def unary(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> tuple[Message, Metadata]:
        """The response, and what the service says beside it (`bayline-version` and so on)."""
        ...

    def stream(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> AsyncIterator[Told]:
        """Closed with `aclose` as soon as the client goes."""
        ...


class GrpcHandler:
    """Calls one peer over one long-lived channel. Unary calls have a deadline, streams do not."""

    def __init__(
        self, channel: grpc.aio.Channel, *, deadline: timedelta = timedelta(seconds=10)
    ) -> None:
        self._channel = channel
        self._deadline = deadline.total_seconds()
        self._stubs: dict[str, Stub] = {}

    async def unary(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> tuple[Message, Metadata]:
        stub = self._stub(method, self._channel.unary_unary)
        call = stub(request, metadata=metadata, timeout=self._deadline)
        response = await call
        return response, [*(await call.initial_metadata()), *(await call.trailing_metadata())]

    async def stream(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> AsyncIterator[Message]:
        call = self._stub(method, self._channel.unary_stream)(request, metadata=metadata)
        try:
            async for message in call:
                yield message
        finally:
            call.cancel()

    def _stub(self, method: MethodDescriptor, multicallable: Callable[..., Stub]) -> Stub:
        stub = self._stubs.get(method.full_name)
        if stub is None:
            stub = self._stubs[method.full_name] = multicallable(
                f"/{method.containing_service.full_name}/{method.name}",
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
        return stub
