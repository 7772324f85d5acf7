"""What the store knows: heads of a topic, and a tenant's events between two vectors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp

from bayline.event.v1.event_log_service_pb2 import (
    FoldedStream,
    FoldTenantRequest,
    GetHeadsRequest,
    Heads,
    ReadTenantRequest,
    StoredEvent,
)
from bayline.event.v1.event_log_service_pb2_grpc import EventLogServiceStub
from kernel.errors import NotFound
from runtime.context import Errand, acting_for

if TYPE_CHECKING:
    from bayline.event.v1.event_log_service_pb2_grpc import EventLogServiceAsyncStub

HEADS_SECONDS = 5.0


class TopicNotFound(NotFound):
    pass


class Source:
    """The event logs of all services, by topic. Channels carry the gateway's own token."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel]) -> None:
        self._logs = {topic: EventLogServiceStub(channel) for topic, channel in channels.items()}

    @property
    def topics(self) -> Sequence[str]:
        return sorted(self._logs)

    async def heads(self, topic: str) -> Heads:
        return await self._log(topic).GetHeads(GetHeadsRequest(log=topic), timeout=HEADS_SECONDS)

    async def between(
        self,
        topic: str,
        tenant: str,
        after: Sequence[int],
        until: Sequence[int],
        *,
        recorded_from: Timestamp | None = None,
        stream: str = "",
    ) -> AsyncIterator[StoredEvent]:
        """Positions of `after` are seen already, those of `until` still belong to it."""
        request = ReadTenantRequest(
            log=topic,
            tenant=tenant,
            after=after,
            until=until,
            recorded_from=recorded_from,
            stream=stream,
        )
        with acting_for(Errand(tenant)):
            call = self._log(topic).ReadTenant(request)
        try:
            async for event in call:
                yield event
        finally:
            call.cancel()

    async def folded(
        self, topic: str, tenant: str, until: Sequence[int]
    ) -> AsyncIterator[FoldedStream]:
        """Each stream as it was at `until`, by the rules of its service."""
        request = FoldTenantRequest(log=topic, tenant=tenant, until=until)
        with acting_for(Errand(tenant)):
            call = self._log(topic).FoldTenant(request)
        try:
            async for stream in call:
                yield stream
        finally:
            call.cancel()

    def _log(self, topic: str) -> "EventLogServiceAsyncStub":
        if topic not in self._logs:
            raise TopicNotFound(f"there is no topic {topic}", topics=", ".join(self.topics))
        return self._logs[topic]
