"""The checker finds what is wrong: a history that is whole, and every way to spoil it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bayline.event.v1.metadata_pb2 import Metadata
from eventstore.chain import genesis, hash_of, shard_of
from eventstore.store import Claim
from messaging.envelope import envelope_from
from testkit.proof.evidence import Audited, Consumed, Evidence, Head, Held, StoredEvent, UsedKey
from testkit.proof.folds import streams_of, unread_of
from testkit.proof.history import Command, History, Outcome, commands_of, lines_of
from testkit.proof.invariants import violations
from testkit.topics import WrittenRow
from testkit.unread import NEWER

LOG = "bayline.workshop.v1.JobEvent"
KEYRING = "bayline.keyring.v1.SubjectEvent"
MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
JOB, OTHER = UUID(int=1), UUID(int=2)
SHARD = shard_of("acme", JOB)
INVOICE = "number/S2026"


def an_event(n: int, key: str, previous: bytes, stream: UUID = JOB) -> StoredEvent:
    event = StoredEvent(
        log=LOG,
        shard=SHARD,
        pos=n,
        tenant="acme",
        stream=stream,
        ver=n,
        event_id=UUID(int=100 + n),
        type=f"{LOG}.Happened",
        occurred_at=MONDAY,
        recorded_at=MONDAY + timedelta(seconds=n),
        data=b"data",
        meta=Metadata(request_id=key).SerializeToString(),
        hash=b"",
    )
    return replace(event, hash=hash_of(event, previous))


def a_chain(*keys: str) -> list[StoredEvent]:
    events: list[StoredEvent] = []
    for n, key in enumerate(keys, start=1):
        previous = events[-1].hash if events else genesis(LOG, SHARD)
        events.append(an_event(n, key, previous))
    return events


def published(events: Sequence[StoredEvent]) -> list[Any]:
    chain, found = genesis(LOG, SHARD), []
    for event in events:
        fields = {name: getattr(event, name) for name in StoredEvent.__slots__}
        found.append(envelope_from(WrittenRow(**fields, previous_hash=chain, epoch=UUID(int=0))))
        chain = event.hash
    return found


def recorded(events: Sequence[StoredEvent]) -> list[Audited]:
    return [Audited(each.place, each.pos, each.tenant, each.hash) for each in events]


def accepted(key: str, version: int, stream: UUID = JOB) -> Command:
    return Command("acme", key, "/v1/jobs", Outcome.ACCEPTED, stream, version)


def number(n: int, stream: UUID = JOB) -> Held:
    return Held("acme", stream, Claim(INVOICE, str(n)))


def whole() -> Evidence:
    """Two commands, three events, one refusal, one outcome nobody ever learned."""
    events = a_chain("open-it", "change-it", "change-it")
    claims = frozenset({number(1), number(2), Held("acme", JOB, Claim("bay", "bay-1", MONDAY))})
    rows = {"workshop.job": [{"job": str(JOB), "version": 3}]}
    return Evidence(
        commands=[
            accepted("open-it", 1),
            accepted("change-it", 3),
            Command("acme", "refuse-it", "/v1/jobs", Outcome.REFUSED),
            Command("acme", "lose-it", "/v1/jobs", Outcome.UNKNOWN),
        ],
        events=events,
        heads={(LOG, SHARD): Head(3, events[-1].hash)},
        relayed={(LOG, SHARD): 3},
        keys=[UsedKey(LOG, "acme", "open-it", JOB, 1), UsedKey(LOG, "acme", "change-it", JOB, 3)],
        claims=claims,
        owed_claims=claims,
        topics={LOG: [*published(events)[:2], *published(events)]},  # the first two came twice
        consumers=[Consumed("workshop.job-list", {(LOG, SHARD): 3})],
        rows=rows,
        owed_rows=rows,
        audited=recorded(events),
    )


def test_a_system_that_kept_its_promises_is_not_blamed() -> None:
    assert violations(whole()) == []


def test_the_keyring_may_keep_a_stream_of_a_jobs_id() -> None:
    job = a_chain("open-it")
    forgotten = replace(job[0], log=KEYRING, hash=b"")
    key = hash_of(forgotten, genesis(forgotten.log, SHARD))

    found = violations(Evidence(events=[*job, replace(forgotten, hash=key)]))

    assert [each.what for each in found if "versions" in each.what] == []


def test_where_nobody_kept_a_record_two_services_may_know_the_same_key() -> None:
    found = replace(key_in_two_logs(whole()), commands=None)

    assert violations(found) == []


def with_events(found: Evidence, events: Sequence[StoredEvent]) -> Evidence:
    head = {(LOG, SHARD): Head(len(events), events[-1].hash)}
    topics, audited = {LOG: published(events)}, recorded(events)
    return replace(found, events=events, heads=head, topics=topics, audited=audited)


def lost_event(found: Evidence) -> Evidence:
    return replace(found, events=found.events[:2])


def doubled_command(found: Evidence) -> Evidence:
    """Under the key of a command that is there already."""
    return with_events(found, a_chain("open-it", "change-it", "change-it", "open-it"))


def doubled_key(found: Evidence) -> Evidence:
    return replace(found, keys=[*found.keys, found.keys[0]._replace(version=9)])


def key_in_two_logs(found: Evidence) -> Evidence:
    return replace(found, keys=[*found.keys, found.keys[0]._replace(log=KEYRING, version=0)])


def forgotten_key(found: Evidence) -> Evidence:
    return replace(found, keys=found.keys[1:])


def invented_key(found: Evidence) -> Evidence:
    return replace(found, keys=[*found.keys, UsedKey(LOG, "acme", "invented", OTHER, 0)])


def kept_refusal(found: Evidence) -> Evidence:
    return replace(found, keys=[*found.keys, UsedKey(LOG, "acme", "refuse-it", OTHER, 0)])


def another_answer(found: Evidence) -> Evidence:
    return replace(found, commands=[accepted("open-it", 2), *(found.commands or ())[1:]])


def edited_event(found: Evidence) -> Evidence:
    first, *rest = found.events
    return replace(found, events=[replace(first, data=b"other"), *rest])


def moved_event(found: Evidence) -> Evidence:
    first, *rest = found.events
    return replace(found, events=[replace(first, tenant="polaris"), *rest])


def turned_clock(found: Evidence) -> Evidence:
    first, second, third = found.events
    return replace(found, events=[replace(first, recorded_at=third.recorded_at), second, third])


def cut_log(found: Evidence) -> Evidence:
    return replace(found, heads={(LOG, SHARD): Head(2, found.events[1].hash)})


def missing_version(found: Evidence) -> Evidence:
    *rest, last = found.events
    return replace(found, events=[*rest, replace(last, ver=4)])


def unpublished_event(found: Evidence) -> Evidence:
    return replace(found, topics={LOG: found.topics[LOG][:2]})


def published_out_of_order(found: Evidence) -> Evidence:
    return replace(found, topics={LOG: [*found.topics[LOG][1:], *found.topics[LOG]]})


def published_other_content(found: Evidence) -> Evidence:
    *rest, last = found.topics[LOG]
    return replace(found, topics={LOG: [*rest, replace(last, data=b"other")]})


def published_ghost(found: Evidence) -> Evidence:
    ghost = replace(found.topics[LOG][-1], pos=4)
    return replace(found, topics={LOG: [*found.topics[LOG], ghost]})


def published_junk(found: Evidence) -> Evidence:
    return replace(found, strangers=["a record"])


def lost_row(found: Evidence) -> Evidence:
    return replace(found, rows={"workshop.job": []})


def changed_row(found: Evidence) -> Evidence:
    return replace(found, rows={"workshop.job": [{"job": str(JOB), "version": 2}]})


def doubled_row(found: Evidence) -> Evidence:
    return replace(found, rows={"workshop.job": [*found.rows["workshop.job"]] * 2})


def nothing_to_compare(found: Evidence) -> Evidence:
    return replace(found, rows={}, owed_rows={})


def cursor_behind(found: Evidence) -> Evidence:
    return replace(found, consumers=[Consumed("workshop.job-list", {(LOG, SHARD): 2})])


def consumer_nobody_folds(found: Evidence) -> Evidence:
    return replace(found, unchecked=["inventory.demand"])


def relay_behind(found: Evidence) -> Evidence:
    return replace(found, relayed={(LOG, SHARD): 2})


def halted_consumer(found: Evidence) -> Evidence:
    [consumer] = found.consumers
    return replace(found, consumers=[replace(consumer, halted="the epoch is another")])


def parked_events(found: Evidence) -> Evidence:
    [consumer] = found.consumers
    return replace(found, consumers=[replace(consumer, parked=2)])


def unknown_events(found: Evidence) -> Evidence:
    [consumer] = found.consumers
    return replace(found, consumers=[replace(consumer, rebuild_needed=1)])


def unread_event(found: Evidence) -> Evidence:
    last = found.events[-1]
    events = [*found.events[:-1], replace(last, type="workshop.SomethingNew", data=NEWER)]
    return replace(found, unread=unread_of(streams_of(events)))


def unrecorded_event(found: Evidence) -> Evidence:
    return replace(found, audited=found.audited[1:])


def recorded_twice(found: Evidence) -> Evidence:
    return replace(found, audited=[*found.audited, found.audited[0]])


def recorded_otherwise(found: Evidence) -> Evidence:
    first, *rest = found.audited
    return replace(found, audited=[first._replace(tenant="polaris"), *rest])


def broken_seal(found: Evidence) -> Evidence:
    return replace(found, broken_seals=["record 7 of acme: it is not what was signed"])


def dropped_claim(found: Evidence) -> Evidence:
    return replace(found, claims=found.claims - {number(2)})


def stale_claim(found: Evidence) -> Evidence:
    return replace(found, claims=found.claims | {number(3)})


def claim_held_twice(found: Evidence) -> Evidence:
    rival = frozenset({Held("acme", OTHER, Claim("bay", "bay-1", MONDAY, MONDAY + timedelta(1)))})
    return replace(found, claims=found.claims | rival, owed_claims=found.owed_claims | rival)


def gap_in_numbers(found: Evidence) -> Evidence:
    rest = found.claims - {number(1)}
    return replace(found, claims=rest, owed_claims=rest)


@pytest.mark.parametrize(
    ("spoil", "blamed"),
    [
        (lost_event, "is remembered up to 3"),
        (doubled_command, "is remembered up to 1, and caused"),
        (doubled_key, f"is stored 2 times in {LOG}"),
        (key_in_two_logs, "(open-it) is stored 2 times"),
        (forgotten_key, "was accepted, and is not stored"),
        (forgotten_key, "are stored, and the key is not"),
        (invented_key, "nobody sent it"),
        (kept_refusal, "was refused, and is stored"),
        (another_answer, "was answered with 2, and is stored as 1"),
        (edited_event, "does not follow from what is before it"),
        (moved_event, "is of another shard"),
        (turned_clock, "was recorded before what it follows"),
        (cut_log, "is not where its events end"),
        (lost_event, "is not where its events end"),
        (missing_version, "has versions [1, 2, 4]"),
        (unpublished_event, "is published up to 2 of 3"),
        (published_out_of_order, "was published right after 0"),
        (published_other_content, "was published with other content than is stored"),
        (published_ghost, "was published, and is not stored"),
        (published_junk, "was not published by a relay"),
        (lost_row, "workshop.job lacks"),
        (changed_row, "workshop.job has"),
        (doubled_row, "workshop.job has"),
        (nothing_to_compare, "they fold to no rows at all"),
        (cursor_behind, "workshop.job-list is at 2 of 3"),
        (consumer_nobody_folds, "nobody folds what inventory.demand projects"),
        (unrecorded_event, "is not in the audit log"),
        (recorded_twice, "as no store has it"),
        (recorded_otherwise, "of polaris, as no store has it"),
        (broken_seal, "it is not what was signed"),
        (relay_behind, "is relayed up to 2 of 3"),
        (halted_consumer, "has halted: the epoch is another"),
        (parked_events, "has parked 2 events"),
        (unknown_events, "did not know 1 events"),
        (unread_event, "cannot read event 3 of"),
        (dropped_claim, "not claimed is"),
        (stale_claim, "no stream holds"),
        (claim_held_twice, "two streams hold bay/bay-1"),
        (gap_in_numbers, "number/S2026 of acme has [2]"),
    ],
)
def test_a_broken_promise_is_named(spoil: Callable[[Evidence], Evidence], blamed: str) -> None:
    named = [violation.what for violation in violations(spoil(whole()))]

    assert any(blamed in what for what in named), named


def test_an_outcome_that_is_unknown_may_be_stored_or_not(tmp_path: Path) -> None:
    stored = UsedKey(LOG, "acme", "lose-it", OTHER, 0)

    assert violations(replace(whole(), keys=[*whole().keys, stored])) == []


def test_the_last_word_counts_and_a_refusal_clears_up_no_doubt(tmp_path: Path) -> None:
    path = tmp_path / "history.ndjson"
    history = History(path)
    for key, *kinds in (("a", "info", "ok"), ("b", "fail"), ("c", "info", "fail"), ("d",)):
        asked = {"tenant": "acme", "key": key, "what": "/v1/jobs"}
        for kind in ("invoke", *kinds):
            history.note(kind, **asked, stream=str(JOB), version=1)
    history.note("fault", what="kill -9", target="workshop")
    history.close()

    told = {command.key: command.outcome for command in commands_of(lines_of(path))}

    assert told == {
        "a": Outcome.ACCEPTED,
        "b": Outcome.REFUSED,
        "c": Outcome.UNKNOWN,
        "d": Outcome.UNKNOWN,
    }
