from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from eventstore import chain
from messaging.envelope import Envelope, Undecodable, envelope_of, genesis, headers_of
from testkit.topics import WrittenLog

JOB = UUID("00000000-0000-7000-8000-00000000000a")
LOG = "bayline.workshop.v1.JobEvent"


@dataclass(frozen=True)
class Arrived:
    topic: str
    partition: int
    value: bytes | None
    headers: list[tuple[str, bytes]]


def arrived(envelope: Envelope) -> Arrived:
    return Arrived(envelope.topic, envelope.partition, envelope.data, headers_of(envelope))


def an_event() -> Envelope:
    log = WrittenLog(LOG)
    log.append(JOB, b"requested")
    return log.append(JOB, b"\x00\xff triaged", of_type=f"{LOG}.JobTriaged", site="north")


def test_an_event_comes_out_of_kafka_as_it_went_in() -> None:
    event = an_event()

    assert envelope_of(arrived(event)) == event
    assert headers_of(envelope_of(arrived(event))) == headers_of(event)


def test_headers_are_a_cloud_event() -> None:
    event = an_event()
    headers = {name: value.decode() for name, value in headers_of(event)[:-1]}

    assert headers == {
        "content-type": "application/protobuf",
        "ce_specversion": "1.0",
        "ce_id": event.event_id,
        "ce_source": "/workshop",
        "ce_type": "bayline.workshop.v1.JobEvent.JobTriaged",
        "ce_subject": str(JOB),
        "ce_time": "2026-11-23T08:00:00.000000Z",
        "ce_partitionkey": f"acme/{JOB}",
        "ce_tenant": "acme",
        "ce_site": "north",
        "ce_streamver": "2",
        "ce_shard": str(event.shard),
        "ce_pos": "2",
        "ce_storeepoch": event.epoch,
        "ce_prevhash": event.previous_hash.hex(),
        "ce_recordedat": "2026-11-23T08:00:00.000001Z",
        "ce_correlationid": str(JOB),
    }
    assert headers_of(event)[-1] == ("bayline-meta", event.meta)


def test_only_the_epoch_may_differ_when_an_event_is_published_again() -> None:
    event = an_event()
    before, after = headers_of(event), headers_of(replace(event, epoch="another"))

    assert [name for (name, a), (_, b) in zip(before, after, strict=True) if a != b] == [
        "ce_storeepoch"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        lambda record: replace(record, value=None),
        lambda record: replace(record, headers=[]),
        lambda record: replace(record, headers=record.headers[1:-1]),
        lambda record: replace(record, headers=[*record.headers, ("ce_pos", b"seven")]),
        lambda record: replace(record, headers=[*record.headers, ("ce_subject", b"no uuid")]),
        lambda record: replace(record, headers=[*record.headers, ("ce_time", b"\xff")]),
        lambda record: replace(record, partition=(record.partition + 1) % 16),
    ],
)
def test_a_record_that_no_relay_published_is_told_apart(broken: object) -> None:
    assert callable(broken)

    with pytest.raises(Undecodable):
        envelope_of(broken(arrived(an_event())))


@pytest.mark.parametrize(
    "moved",
    [
        {"tenant": "other"},
        {"shard": 1},
        {"pos": 3},
        {"version": 3},
        {"stream": str(UUID(int=1))},
        {"event_id": str(UUID(int=1))},
        {"type": "other"},
        {"data": b"other"},
        {"meta": b"other"},
        {"topic": "other"},
    ],
)
def test_an_event_that_was_touched_breaks_the_chain(moved: dict[str, object]) -> None:
    event = an_event()

    assert replace(event, **moved).hash != event.hash  # type: ignore[arg-type]  # by the table


def test_the_chain_begins_as_the_store_begins_it() -> None:
    assert genesis(LOG, 7) == chain.genesis(LOG, 7)
