from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from aiokafka import TopicPartition

from messaging.cursor import Batch, Cursor, Diverged, Gap, Verdict, sort
from messaging.envelope import Envelope, genesis, headers_of
from testkit.topics import WrittenLog

JOB = UUID("00000000-0000-7000-8000-00000000000a")
LOG = "bayline.workshop.v1.JobEvent"


@dataclass(frozen=True)
class Arrived:
    topic: str
    partition: int
    offset: int
    value: bytes | None
    headers: list[tuple[str, bytes]]


def four_events() -> list[Envelope]:
    log = WrittenLog(LOG)
    return [log.append(JOB, data) for data in (b"1", b"2", b"3", b"4")]


def start(events: Sequence[Envelope]) -> Cursor:
    return Cursor(LOG, events[0].shard, 0, genesis(LOG, events[0].shard))


def sorted_out(events: Sequence[Envelope], cursor: Cursor) -> Batch:
    records = [
        Arrived(LOG, e.partition, offset, e.data, headers_of(e)) for offset, e in enumerate(events)
    ]
    return sort({TopicPartition(LOG, cursor.shard % 16): records}, {cursor.place: cursor})


def test_the_next_event_is_applied() -> None:
    first, second, *_ = events = four_events()
    cursor = start(events)

    assert cursor.judge(first) is Verdict.NEXT
    assert cursor.after(first).judge(second) is Verdict.NEXT


def test_an_event_seen_before_is_skipped() -> None:
    first, second, *_ = events = four_events()
    cursor = start(events).after(first).after(second)

    assert [cursor.judge(first), cursor.judge(second)] == [Verdict.SEEN, Verdict.SEEN]


def test_an_event_too_far_ahead_is_a_gap() -> None:
    events = four_events()

    assert start(events).judge(events[1]) is Verdict.GAP


def test_an_event_of_another_epoch_halts_even_where_it_would_be_skipped() -> None:
    events = four_events()
    cursor = start(events).after(events[0]).after(events[1])

    with pytest.raises(Diverged, match="epoch is no longer"):
        cursor.judge(replace(events[0], epoch="another"))


def test_another_event_at_the_last_position_halts() -> None:
    events = four_events()
    cursor = start(events).after(events[0])

    with pytest.raises(Diverged, match="another event stands at the last position"):
        cursor.judge(replace(events[0], data=b"rewritten"))


def test_an_event_that_does_not_continue_the_chain_halts() -> None:
    events = four_events()
    cursor = start(events).after(replace(events[0], data=b"rewritten"))

    with pytest.raises(Diverged, match="chain does not continue"):
        cursor.judge(events[1])


def test_a_batch_moves_a_cursor_once_over_all_its_events() -> None:
    events = four_events()
    cursor = start(events)
    batch = sorted_out(events, cursor)

    assert [step.envelope for step in batch.steps] == events
    [(old, new)] = batch.moves.values()
    assert old == cursor
    assert (new.pos, new.hash, new.kafka_offset) == (4, events[3].hash, 3)


def test_duplicates_move_only_the_offset() -> None:
    events = four_events()
    batch = sorted_out([events[0], events[0], events[1], events[0]], start(events))

    assert [step.envelope for step in batch.steps] == events[:2]
    [(_, new)] = batch.moves.values()
    assert (new.pos, new.kafka_offset) == (2, 3)


def test_nothing_behind_a_gap_counts() -> None:
    events = four_events()
    batch = sorted_out([events[0], events[3], events[1]], start(events))

    assert [step.envelope for step in batch.steps] == events[:1]
    place = LOG, events[0].shard
    assert batch.gaps == [Gap(TopicPartition(LOG, events[0].partition), place, to_pos=3)]


def test_what_came_before_another_log_still_counts() -> None:
    events = four_events()
    batch = sorted_out([events[0], replace(events[1], epoch="another")], start(events))

    assert [step.envelope for step in batch.steps] == events[:1]
    assert batch.diverged is not None
    assert batch.diverged.epoch == "another"
