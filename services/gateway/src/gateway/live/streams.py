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
from gateway.live.hub import Happened, Hub, Watcher
from gateway.live.source import Source
from gateway.telemetry import delivering
from kernel.clock import Clock
from runtime.identity import Caller, TokenExpired
from runtime.policy import Policies
from runtime.positions import Seals
from runtime.validation import check
from transcoding.handlers import Metadata
from transcoding.streams import Shared, Told

JOBS = "bayline.workshop.v1.JobEvent"
SILENCE_SECONDS = 5.0

Wanted = Callable[[str, str], bool]  # by the stream and the site of an event


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
    ) -> AsyncIterator[Told]:
        check(request)
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

    async def _jobs(self, request: StreamJobsRequest, who: Caller) -> AsyncIterator[Told]:
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
            async for told in self._live(watcher, cursor, who, wanted):
                yield told

    async def _read(self, request: ReadStreamRequest, who: Caller) -> AsyncIterator[Told]:
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
            async for told in self._live(watcher, cursor, who, wanted):
                yield told

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
            if cursor.sees(event.shard, event.pos) and wanted(event.stream, _site(event)):
                yield frames.frame(event, cursor.sealed(self.seals, who.tenant))
        cursor.positions = [max(pair) for pair in zip(cursor.positions, heads.heads, strict=True)]

    async def _live(
        self, watcher: Watcher, cursor: Cursor, who: Caller, wanted: Wanted
    ) -> AsyncIterator[Shared]:
        while True:
            left = who.expires_at - self.clock.now().timestamp()
            if left <= 0:
                raise TokenExpired("the token has expired; come back with a new one and the cursor")
            happened = await watcher.next(min(left, SILENCE_SECONDS))
            if happened is None or not cursor.sees(happened.event.shard, happened.event.pos):
                continue
            cursor.joins(happened.passed)
            if wanted(happened.event.stream, happened.site):
                with delivering(happened.envelope, self.clock):
                    yield self._told(happened, cursor, who.tenant)

    def _told(self, happened: Happened, cursor: Cursor, tenant: str) -> Shared:
        """The same for all who stand at the same positions: sooner or later, everybody."""
        at = tuple(cursor.positions)
        if at not in happened.told:
            frame = frames.frame(happened.event, cursor.sealed(self.seals, tenant))
            happened.told[at] = Shared(frame)
        return happened.told[at]


def _visible(who: Caller, site: str, stream: str) -> Wanted:
    """Only of the caller's sites, and of the one asked for."""
    everywhere = "*" in who.sites

    def wanted(of: str, at: str) -> bool:
        return stream in ("", of) and site in ("", at) and (everywhere or at in who.sites)

    return wanted


def _site(event: StoredEvent) -> str:
    return frames.metadata_of(event.meta).site


def _event_types(topic: str) -> list[str]:
    cases = Default().FindMessageTypeByName(topic).oneofs_by_name["event"].fields
    return [case.message_type.full_name for case in cases if case.message_type is not None]
