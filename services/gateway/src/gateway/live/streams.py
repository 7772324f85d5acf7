"""The gateway's own service: who am I, live jobs, replayable topics."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from bayline.event.v1.event_log_service_pb2 import Heads, StoredEvent
from bayline.event.v1.metadata_pb2 import Metadata as EventMetadata
from bayline.gateway.v1.gateway_service_pb2 import (
    ExportStreamRequest,
    ListStreamsResponse,
    Me,
    ReadStreamRequest,
    StreamFrame,
    StreamJobsRequest,
    StreamTopic,
)
from gateway.identity import caller
from gateway.live import frames
from gateway.live.cursor import Cursor
from gateway.live.exports import Exports
from gateway.live.hub import Hub, Watcher
from gateway.live.source import Source
from gateway.telemetry import delivering
from kernel.clock import Clock
from runtime.identity import Caller, TokenExpired
from runtime.policy import Policies
from runtime.positions import Seals
from transcoding.handlers import Metadata

JOBS = "bayline.workshop.v1.JobEvent"
SILENCE_SECONDS = 5.0

Wanted = Callable[[StoredEvent], bool]


@dataclass(frozen=True, slots=True)
class Streams:
    """An in-process handler (`transcoding.handlers.Handler`) of GatewayService."""

    hub: Hub
    source: Source
    seals: Seals
    policies: Policies
    clock: Clock

    async def unary(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> tuple[Message, Metadata]:
        answers: Mapping[str, Callable[[Caller], Any]] = {
            "GetMe": self._me,
            "ListStreams": self._list,
        }
        return await answers[method.name](caller()), ()

    def stream(
        self, method: MethodDescriptor, request: Message, metadata: Metadata
    ) -> AsyncIterator[Message]:
        if isinstance(request, StreamJobsRequest):
            return self._jobs(request, caller())
        if isinstance(request, ExportStreamRequest):
            return Exports(self.source, self.seals).export(request, caller().tenant)
        assert isinstance(request, ReadStreamRequest)
        return self._read(request, caller())

    async def _me(self, who: Caller) -> Me:
        allowed = (
            action for action in sorted(self.policies.actions) if self.policies.could(who, action)
        )
        return Me(
            subject=who.subject,
            tenant=who.tenant,
            roles=sorted(who.roles),
            sites=sorted(site if site == "*" else f"sites/{site}" for site in who.sites),
            technician=f"technicians/{who.technician}" if who.technician else "",
            allowed_methods=allowed,
            expires_at=Timestamp(seconds=int(who.expires_at)),
        )

    async def _list(self, who: Caller) -> ListStreamsResponse:
        heads = await asyncio.gather(*map(self.source.heads, self.source.topics))
        topics = zip(self.source.topics, heads, strict=True)
        return ListStreamsResponse(
            streams=[
                StreamTopic(
                    topic=topic,
                    epoch=each.epoch,
                    event_types=_event_types(topic),
                    cursor=Cursor.at(topic, each).sealed(self.seals, who.tenant),
                )
                for topic, each in topics
            ]
        )

    async def _jobs(self, request: StreamJobsRequest, who: Caller) -> AsyncIterator[StreamFrame]:
        """From the cursor, or from now on; the first frame says where that is."""
        job = request.job.removeprefix("jobs/")
        wanted = _visible(who, request.site.removeprefix("sites/"), job)
        async with self.hub.watching(JOBS, who.tenant) as watcher:
            heads = await self.source.heads(JOBS)
            cursor = self._cursor(request.cursor, JOBS, who, heads, beginning=False)
            yield StreamFrame(
                cursor=cursor.sealed(self.seals, who.tenant), type="cursor", topic=JOBS
            )
            async for frame in self._past(cursor, heads, who, wanted, stream=job):
                yield frame
            async for frame in self._live(watcher, cursor, who, wanted):
                yield frame

    async def _read(self, request: ReadStreamRequest, who: Caller) -> AsyncIterator[StreamFrame]:
        """The past up to the heads of now, and the live tail where it is followed."""
        wanted = _visible(who, "", request.stream)
        since = getattr(request, "from") if request.HasField("from") else None
        if not request.follow:
            heads = await self.source.heads(request.topic)
            cursor = self._cursor(request.cursor, request.topic, who, heads, beginning=True)
            async for frame in self._past(
                cursor, heads, who, wanted, since=since, stream=request.stream
            ):
                yield frame
            yield StreamFrame(
                cursor=cursor.sealed(self.seals, who.tenant), type="cursor", topic=request.topic
            )
            return
        async with self.hub.watching(request.topic, who.tenant) as watcher:
            heads = await self.source.heads(request.topic)
            cursor = self._cursor(request.cursor, request.topic, who, heads, beginning=True)
            async for frame in self._past(
                cursor, heads, who, wanted, since=since, stream=request.stream
            ):
                yield frame
            async for frame in self._live(watcher, cursor, who, wanted):
                yield frame

    def _cursor(
        self, token: str, topic: str, who: Caller, heads: Heads, *, beginning: bool
    ) -> Cursor:
        if token:
            return Cursor.opened(token, self.seals, who.tenant, topic, heads)
        return Cursor.beginning(topic, heads) if beginning else Cursor.at(topic, heads)

    async def _past(
        self,
        cursor: Cursor,
        heads: Heads,
        who: Caller,
        wanted: Wanted,
        *,
        since: Timestamp | None = None,
        stream: str = "",
    ) -> AsyncIterator[StreamFrame]:
        events = self.source.between(
            cursor.topic,
            who.tenant,
            cursor.positions,
            heads.heads,
            recorded_from=since,
            stream=stream,
        )
        async for event in events:
            if cursor.sees(event.shard, event.pos) and wanted(event):
                yield frames.frame(event, cursor.sealed(self.seals, who.tenant))
        cursor.positions = [max(pair) for pair in zip(cursor.positions, heads.heads, strict=True)]

    async def _live(
        self, watcher: Watcher, cursor: Cursor, who: Caller, wanted: Wanted
    ) -> AsyncIterator[StreamFrame]:
        while True:
            left = who.expires_at - self.clock.now().timestamp()
            if left <= 0:
                raise TokenExpired("the token has expired; come back with a new one and the cursor")
            envelope = await watcher.next(min(left, SILENCE_SECONDS))
            if envelope is None or not cursor.sees(envelope.shard, envelope.pos):
                continue
            event = frames.of_envelope(envelope)
            if wanted(event):
                with delivering(envelope, self.clock):
                    yield frames.frame(event, cursor.sealed(self.seals, who.tenant))


def _visible(who: Caller, site: str, stream: str) -> Wanted:
    """Only of the caller's sites, and of the one asked for."""
    everywhere = "*" in who.sites

    def wanted(event: StoredEvent) -> bool:
        if stream and event.stream != stream:
            return False
        found = EventMetadata.FromString(event.meta).site
        return (everywhere or found in who.sites) and site in ("", found)

    return wanted


def _event_types(topic: str) -> list[str]:
    cases = Default().FindMessageTypeByName(topic).oneofs_by_name["event"].fields
    return [case.message_type.full_name for case in cases if case.message_type is not None]
