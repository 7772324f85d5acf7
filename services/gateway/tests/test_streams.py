"""Live and replayed streams: whatever stops, a reader that comes back misses nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bayline.event.v1.event_log_service_pb2 import Heads, StoredEvent
from bayline.event.v1.metadata_pb2 import Metadata, Sensitive
from bayline.gateway.v1.gateway_service_pb2 import ReadStreamRequest, StreamFrame, StreamJobsRequest
from bayline.type.v1.values_pb2 import UNREAD_DAMAGED, UNREAD_NEWER_RELEASE, UNREAD_UNSPECIFIED
from bayline.workshop.v1.events_pb2 import JobEvent, JobRejected, WorkCompleted
from gateway.live.cursor import Cursor, CursorExpired
from gateway.live.frames import of_envelope
from gateway.live.hub import Hub, LiveStreamBehind, LiveTailUnavailable
from gateway.live.source import Source
from gateway.live.streams import JOBS, Streams
from gateway.main import OWN
from kernel.clock import SystemClock
from messaging.envelope import Envelope, headers_of
from messaging.kafka import producer
from runtime.identity import Caller, TokenExpired
from runtime.policy import Policies
from runtime.positions import CursorUnreadable, Seals
from runtime.settings import Kafka
from runtime.validation import RequestInvalid
from testkit.servers import KafkaServer
from testkit.topics import eventually, publish, topics
from transcoding.streams import Shared, Told

TENANTS = "bayline.workshop.v1.TenantEvent"
EVENT_ID = "00000000-0000-7000-8000-00000000000{}"
SHARDS = 64
SEALS = Seals([bytes(range(32))])
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOTE = Sensitive(subject="jobs/1", key_id="k", nonce=b"n" * 12, ciphertext=b"sealed words")


def an_event(shard: int, pos: int, *, tenant: str = "acme", site: str = "ber") -> Envelope:
    return Envelope(
        topic=JOBS,
        shard=shard,
        pos=pos,
        tenant=tenant,
        stream=f"00000000-0000-7000-8000-{shard:012d}",
        version=pos,
        event_id=f"{tenant}-{shard}-{pos}",
        type="bayline.workshop.v1.JobRejected",
        occurred_at=MONDAY,
        recorded_at=MONDAY,
        data=JobEvent(job_rejected=JobRejected(note=NOTE)).SerializeToString(),
        meta=Metadata(actor="mia", site=site).SerializeToString(),
        previous_hash=b"",
        epoch="e1",
    )


def unreadable() -> list[Envelope]:
    """Of a newer release; cut off, out of time, emptied; and one of which only the metadata is damaged."""
    late = JobEvent(work_completed=WorkCompleted(completed_at=Timestamp(seconds=10**12)))
    return [
        replace(an_event(4, 1), type="bayline.workshop.v1.JobPraised", data=b"\xfa\x3e\x00"),
        replace(an_event(5, 1), data=b"\xff"),
        replace(an_event(6, 1), data=late.SerializeToString()),
        replace(an_event(7, 1), data=b""),
        replace(an_event(8, 1), meta=b"\xff"),
    ]


@dataclass
class FakeSource:
    """A store in memory: what is appended is there at once."""

    epoch: str = "e1"
    events: list[Envelope] = field(default_factory=list)

    @property
    def topics(self) -> Sequence[str]:
        return [JOBS]

    async def heads(self, topic: str) -> Heads:
        heads = [0] * SHARDS
        for event in self.events:
            heads[event.shard] = max(heads[event.shard], event.pos)
        return Heads(epoch=self.epoch, heads=heads)

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
        for event in list(self.events):
            if event.tenant == tenant and after[event.shard] < event.pos <= until[event.shard]:
                yield of_envelope(event)


def ready_hub() -> Hub:
    hub = Hub(Kafka(bootstrap=""), [JOBS])
    hub._ready.set()
    hub._followed[JOBS].set()
    return hub


def streams_of(source: FakeSource, hub: Hub, policies: Policies) -> Streams:
    return Streams(hub, cast("Source", source), SEALS, policies, SystemClock())


def mia(**changed: Any) -> Caller:
    known = {"sites": frozenset({"*"}), "expires_at": time.time() + 3600, **changed}
    return Caller("mia", "acme", frozenset({"service_manager"}), **known)


async def first(frames: AsyncIterator[Told], count: int) -> list[StreamFrame]:
    return [frame_of(await anext(frames)) for _ in range(count)]


def frame_of(told: Told) -> StreamFrame:
    found = told.message if isinstance(told, Shared) else told
    assert isinstance(found, StreamFrame)
    return found


async def test_a_reader_that_comes_new_is_told_where_it_is_and_sees_what_happens_from_then_on(
    policies: Policies,
) -> None:
    source, hub = FakeSource(events=[an_event(3, 1)]), ready_hub()
    frames = streams_of(source, hub, policies)._jobs(StreamJobsRequest(), mia())

    [start] = await first(frames, 1)
    reading = anext(frames)
    hub._pass_on(an_event(3, 2))
    seen = frame_of(await reading)

    assert (start.type, bool(start.cursor)) == ("cursor", True)
    assert (seen.event_id, seen.version, seen.site, seen.actor) == (
        "acme-3-2",
        2,
        "sites/ber",
        "mia",
    )


@given(seed=st.integers(0, 10_000))
async def test_a_reader_interrupted_anywhere_sees_every_event_once_and_in_order(
    seed: int,
) -> None:
    random, policies = Random(seed), Policies.load("bayline/gateway/v1/policies.cedar")
    source, hub, seen = FakeSource(), ready_hub(), list[str]()
    cursor = Cursor(JOBS, "e1", [0] * SHARDS).sealed(SEALS, "acme")
    ends, ours = [0, 0, 0], list[str]()
    for _ in range(6):
        happened = []
        for _ in range(random.randrange(5)):
            shard = random.randrange(3)
            ends[shard] += 1
            tenant = random.choice(["acme", "acme", "polaris"])
            happened.append(an_event(shard, ends[shard], tenant=tenant))
        before = happened[: random.randrange(len(happened) + 1)]
        for event in before:
            source.events.append(event)
            hub._pass_on(event)
        frames = streams_of(source, hub, policies)._jobs(StreamJobsRequest(cursor=cursor), mia())
        await anext(frames)
        meanwhile = happened[len(before) :]
        for event in source.events[-2:] + meanwhile:  # the relay repeats what it has sent before
            hub._pass_on(event)
        source.events += meanwhile
        ours = [event.event_id for event in source.events if event.tenant == "acme"]
        wanted = random.randrange(len(ours) - len(seen) + 1)
        for frame in await first(frames, wanted):
            seen.append(frame.event_id)
            cursor = frame.cursor
        await frames.aclose()  # type: ignore[attr-defined]  # it is a generator

    for number in "012":
        found = of_shard(number, seen)
        assert found == of_shard(number, ours)[: len(found)]


def of_shard(shard: str, ids: Sequence[str]) -> list[str]:
    return [each for each in ids if each.split("-")[1] == shard]


async def test_readers_who_stand_alike_are_told_the_same_frame_though_they_came_apart(
    policies: Policies,
) -> None:
    source, hub = FakeSource(events=[an_event(1, 1)]), ready_hub()
    hub._pass_on(source.events[0])
    streams = streams_of(source, hub, policies)
    early = streams._jobs(StreamJobsRequest(), mia())
    await anext(early)
    source.events.append(an_event(2, 1, tenant="polaris"))
    hub._pass_on(source.events[-1])
    late = streams._jobs(StreamJobsRequest(), mia())
    await anext(late)

    hub._pass_on(an_event(1, 2))

    assert await anext(early) is await anext(late)


async def test_a_reader_sees_only_its_tenant_and_its_sites(policies: Policies) -> None:
    theirs = [an_event(1, 1, tenant="polaris"), an_event(2, 1, site="vie")]
    source = FakeSource(events=[*theirs, an_event(4, 1)])
    streams = streams_of(source, ready_hub(), policies)
    who = mia(sites=frozenset({"ber"}))

    frames = [frame_of(each) async for each in streams._read(ReadStreamRequest(topic=JOBS), who)]

    assert [frame.event_id for frame in frames] == ["acme-4-1", ""]


async def test_an_event_that_cannot_be_read_is_told_and_ends_no_stream(
    policies: Policies,
) -> None:
    past, live = FakeSource(events=[*unreadable(), an_event(9, 1)]), ready_hub()
    asked = ReadStreamRequest(topic=JOBS)
    replayed = [
        frame_of(each) async for each in streams_of(past, live, policies)._read(asked, mia())
    ]
    following = streams_of(FakeSource(), live, policies)._jobs(StreamJobsRequest(), mia())
    await anext(following)
    for event in past.events:
        live._pass_on(event)
    told = await first(following, len(past.events))

    for frames in (replayed[:-1], told):
        assert [(frame.event_id, frame.unread, bool(frame.data)) for frame in frames] == [
            ("acme-4-1", UNREAD_NEWER_RELEASE, False),
            ("acme-5-1", UNREAD_DAMAGED, False),
            ("acme-6-1", UNREAD_DAMAGED, False),
            ("acme-7-1", UNREAD_DAMAGED, False),
            ("acme-8-1", UNREAD_UNSPECIFIED, True),
            ("acme-9-1", UNREAD_UNSPECIFIED, True),
        ]
        assert all(frame.type and frame.cursor and frame.stream for frame in frames)


async def test_words_of_persons_stay_sealed_in_frames(policies: Policies) -> None:
    streams = streams_of(FakeSource(events=[an_event(1, 1)]), ready_hub(), policies)

    told = [each async for each in streams._read(ReadStreamRequest(topic=JOBS), mia())]
    [frame, _] = map(frame_of, told)

    assert b"sealed words" not in frame.SerializeToString()
    assert frame.data["note"]["subject"] == "jobs/1"  # type: ignore[index]  # a struct in a struct


async def test_a_cursor_is_good_for_its_tenant_topic_and_epoch_only() -> None:
    cursor, heads = Cursor(JOBS, "e1", [0] * SHARDS), Heads(epoch="e1")
    token = cursor.sealed(SEALS, "acme")

    assert Cursor.opened(token, SEALS, "acme", JOBS, heads) == cursor
    with pytest.raises(CursorUnreadable):
        Cursor.opened(token, SEALS, "polaris", JOBS, heads)
    with pytest.raises(CursorUnreadable):
        Cursor.opened(token, SEALS, "acme", "bayline.vehicle.v1.VehicleEvent", heads)
    with pytest.raises(CursorUnreadable):
        Cursor.opened("bm9uc2Vuc2U", SEALS, "acme", JOBS, heads)
    with pytest.raises(CursorExpired):
        Cursor.opened(token, SEALS, "acme", JOBS, Heads(epoch="e2"))


async def test_a_stream_ends_when_its_token_does(policies: Policies) -> None:
    streams = streams_of(FakeSource(), ready_hub(), policies)
    frames = streams._jobs(StreamJobsRequest(), mia(expires_at=time.time() + 0.05))
    await anext(frames)

    with pytest.raises(TokenExpired):
        await anext(frames)


async def test_a_reader_that_is_too_slow_is_sent_away_to_resume() -> None:
    hub = ready_hub()

    async with hub.watching(JOBS, "acme") as watcher:
        for pos in range(1, 2_100):
            hub._pass_on(an_event(1, pos))
        with pytest.raises(LiveStreamBehind):
            await watcher.next(0)


async def test_when_the_topic_has_a_hole_readers_resume_from_the_store() -> None:
    hub = ready_hub()

    async with hub.watching(JOBS, "acme") as watcher:
        hub._pass_on(an_event(1, 1))
        hub._pass_on(an_event(1, 3))
        with pytest.raises(LiveTailUnavailable):
            await watcher.next(0)


def _unlike_ours(good: Envelope) -> Mapping[str, tuple[bytes | None, list[tuple[str, bytes]]]]:
    """Value and headers of records in the partition of a good one."""
    ours = headers_of(good)

    def but(name: str, text: bytes) -> list[tuple[str, bytes]]:
        return [(each, text if each == name else value) for each, value in ours]

    return {
        "junk": (b"junk", []),
        "no value": (None, ours),
        "no shard there is": (good.data, but("ce_shard", b"%d" % (good.shard + 16 * 99))),
        "another partition's": (good.data, but("ce_shard", b"%d" % (good.shard + 1))),
        "a version beyond numbers": (good.data, but("ce_streamver", b"9" * 40)),
        "a position beyond numbers": (good.data, but("ce_pos", b"9" * 40)),
        "a time in no zone": (good.data, but("ce_recordedat", b"2026-11-23T08:00:00")),
        "no text": (good.data, but("ce_tenant", b"\xff")),
    }


@pytest.mark.integration
async def test_records_that_cannot_be_read_stop_nobody_from_seeing_the_next(
    kafka_server: KafkaServer,
) -> None:
    first, second = (
        replace(
            an_event(3, pos),
            topic=TENANTS,
            data=b"",
            event_id=EVENT_ID.format(pos),
            previous_hash=bytes(32),
        )
        for pos in (1, 2)
    )
    unlike_ours = _unlike_ours(second)
    hub = Hub(kafka_server, [TENANTS])
    async with topics(kafka_server, TENANTS):
        reading = asyncio.create_task(hub.run())
        await eventually(hub._ready.is_set)
        with capture_logs() as told:
            async with hub.watching(TENANTS, "acme") as watcher:
                await publish(kafka_server, [first])
                await _send(kafka_server, second.partition, unlike_ours.values())
                await publish(kafka_server, [second])
                seen = [await watcher.next(10) for _ in range(2)]
        await hub.stop()
        await reading

    malformed = [each for each in told if each["event"] == "live_record_malformed"]
    assert [each and each.event.event_id for each in seen] == [first.event_id, second.event_id]
    assert [each["offset"] for each in malformed] == list(range(1, len(unlike_ours) + 1))
    assert {(each["topic"], each["partition"]) for each in malformed} == {(TENANTS, 3)}
    assert {each["log_level"] for each in malformed} == {"error"}
    assert "junk" not in str(malformed)


async def _send(
    kafka: KafkaServer,
    partition: int,
    records: Iterable[tuple[bytes | None, list[tuple[str, bytes]]]],
) -> None:
    async with producer(kafka) as sending:
        for value, headers in records:
            await sending.send_and_wait(
                TENANTS, value, key=b"k", headers=headers, partition=partition
            )


def test_what_a_stream_is_asked_wrongly_is_named_as_it_was_asked(policies: Policies) -> None:
    request = ReadStreamRequest(topic=JOBS)
    getattr(request, "from").FromSeconds(253_402_300_799)
    streams = streams_of(FakeSource(), ready_hub(), policies)

    with pytest.raises(RequestInvalid) as refused:
        streams.stream(OWN.methods_by_name["ReadStream"], request, ())

    assert [each.pointer for each in refused.value.violations] == ["/from"]


async def test_nobody_watches_before_the_tail_is_connected() -> None:
    hub = Hub(Kafka(bootstrap=""), [JOBS])

    with pytest.raises(LiveTailUnavailable):
        async with hub.watching(JOBS, "acme"):
            pass
    assert await hub.check() is not None


async def test_i_am_who_my_token_says_and_may_do_what_my_roles_may(policies: Policies) -> None:
    streams = streams_of(FakeSource(), ready_hub(), policies)

    me = await streams._me(mia(technician="t-1", sites=frozenset({"ber"})))

    assert (me.subject, me.tenant, list(me.sites)) == ("mia", "acme", ["sites/ber"])
    assert me.technician == "technicians/t-1"
    assert "bayline.workshop.v1.WorkshopService/TriageJob" in me.allowed_methods
    assert "bayline.workshop.v1.WorkshopService/SetTaxRates" not in me.allowed_methods


async def test_the_topics_are_listed_with_their_events(policies: Policies) -> None:
    streams = streams_of(FakeSource(), ready_hub(), policies)

    [topic] = (await streams._list(mia())).streams

    assert (topic.topic, topic.epoch) == (JOBS, "e1")
    assert "bayline.workshop.v1.JobRequested" in topic.event_types
