"""What must be true, always: each check names everything that is not. Numbered as in the architecture."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TypeAlias
from uuid import UUID

from bayline.event.v1.metadata_pb2 import Metadata
from eventstore.chain import genesis, hash_of, shard_of
from messaging.envelope import Envelope
from testkit.proof.evidence import (
    Audited,
    Consumed,
    Evidence,
    Head,
    Held,
    Place,
    StoredEvent,
    UsedKey,
)
from testkit.proof.history import Command, Outcome

NUMBER = "number/"
SHOWN = 3

Sent: TypeAlias = tuple[str, str]  # tenant and idempotency key
Kept: TypeAlias = tuple[str, str, str]  # a log before them: each service remembers keys of its own


@dataclass(frozen=True, slots=True)
class Violation:
    invariant: str
    what: str


def violations(evidence: Evidence) -> list[Violation]:
    return [Violation(name, what) for name, check in INVARIANTS.items() for what in check(evidence)]


def commands_are_stored_once(evidence: Evidence) -> Iterator[str]:
    """What was accepted once, what was refused never, what is unknown at most once."""
    if evidence.commands is not None:
        yield from _as_told(evidence, evidence.commands)
    yield from _events_of_keys(evidence)


def _as_told(evidence: Evidence, commands: Sequence[Command]) -> Iterator[str]:
    """The stores hold what the clients were told, and nothing that nobody sent."""
    used: defaultdict[Sent, list[UsedKey]] = defaultdict(list)
    for each in evidence.keys:
        used[each.tenant, each.key].append(each)
    for command in commands:
        yield from _kept(command, used.get((command.tenant, command.key), []))
    sent = {(command.tenant, command.key) for command in commands}
    events = {str(event.event_id) for event in evidence.events}
    for tenant, key in used.keys() - sent:
        if key.partition(":")[0] not in events:  # a policy's key begins with the event it is for
            yield f"key {key} of {tenant} is stored, and nobody sent it"


def _kept(command: Command, uses: Sequence[UsedKey]) -> Iterator[str]:
    name = f"{command.what} ({command.key})"
    if len(uses) > 1:
        yield f"{name} is stored {len(uses)} times"
    if command.outcome is Outcome.REFUSED and uses:
        yield f"{name} was refused, and is stored"
    if command.outcome is not Outcome.ACCEPTED:
        return
    if not uses:
        yield f"{name} was accepted, and is not stored"
    for use in uses:
        if (use.stream, use.version) != (command.stream, command.version):
            yield f"{name} was answered with {command.version}, and is stored as {use.version}"


def _events_of_keys(evidence: Evidence) -> Iterator[str]:
    """The events of a key are the last ones up to the version it is remembered with."""
    caused: defaultdict[Kept, list[StoredEvent]] = defaultdict(list)
    for event in evidence.events:
        key = Metadata.FromString(event.meta).request_id
        caused[event.log, event.tenant, key].append(event)
    for (log, tenant, key), times in Counter(each[:3] for each in evidence.keys).items():
        if times > 1:
            yield f"key {key} of {tenant} is stored {times} times in {log}"
    for log, tenant, key, stream, last in evidence.keys:
        found = [(event.stream, event.ver) for event in caused.pop((log, tenant, key), [])]
        expected = [(stream, last - n) for n in range(len(found))]
        if sorted(found, key=str) != sorted(expected, key=str):
            yield f"key {key} of {tenant} is remembered up to {last}, and caused {found}"
    for _, tenant, key in caused:
        yield f"events of key {key} of {tenant} are stored, and the key is not"


def logs_have_no_hole(evidence: Evidence) -> Iterator[str]:
    """Positions and versions count from 1, times rise, and every hash follows from the one before."""
    found = evidence.by_place()
    for place in evidence.heads.keys() | found.keys():
        yield from _broken(place, found.get(place, []), evidence.heads.get(place))
    streams: defaultdict[tuple[str, str, UUID], list[int]] = defaultdict(list)
    for event in evidence.events:  # of each log: what is forgotten has its id in the keyring's, too
        streams[event.log, event.tenant, event.stream].append(event.ver)
    for (log, tenant, stream), versions in streams.items():
        if versions != list(range(1, len(versions) + 1)):
            yield f"stream {stream} of {tenant} has versions {versions} in {log}"


def _broken(place: Place, events: Sequence[StoredEvent], head: Head | None) -> Iterator[str]:
    log, shard = place
    positions = [event.pos for event in events]
    if positions != list(range(1, len(events) + 1)):
        yield f"{log}/{shard} has positions {positions}"
    chain = genesis(log, shard)
    for event in events:
        if hash_of(event, chain) != event.hash:
            yield f"{log}/{shard}/{event.pos} does not follow from what is before it"
        if shard_of(event.tenant, event.stream) != shard:
            yield f"{log}/{shard}/{event.pos} is of another shard"
        chain = event.hash
    for one, other in pairwise(events):
        if one.pos != other.pos - 1 or one.recorded_at > other.recorded_at:
            yield f"{log}/{shard}/{other.pos} was recorded before what it follows"
    if head != Head(len(events), chain):
        yield f"the head of {log}/{shard} is not where its events end"


def topics_hold_the_log(evidence: Evidence) -> Iterator[str]:
    """All of it and nothing else; what comes for the first time comes in order."""
    stored = evidence.by_place()
    yield from (f"{stranger} was not published by a relay" for stranger in evidence.strangers)
    for log in {log for log, _ in evidence.heads}:
        came: Counter[Place] = Counter()
        for envelope in evidence.topics.get(log, ()):
            place = envelope.topic, envelope.shard
            yield from _out_of_place(envelope, stored.get(place, []), came[place])
            came[place] = max(came[place], envelope.pos)
        for place, events in stored.items():
            if place[0] == log and came[place] < len(events):
                yield f"{log}/{place[1]} is published up to {came[place]} of {len(events)}"


def _out_of_place(envelope: Envelope, events: Sequence[StoredEvent], came: int) -> Iterator[str]:
    name = f"{envelope.topic}/{envelope.shard}/{envelope.pos}"
    if envelope.pos > came + 1:
        yield f"{name} was published right after {came}"
    if envelope.pos > len(events):
        yield f"{name} was published, and is not stored"
    elif envelope.hash != events[envelope.pos - 1].hash:
        yield f"{name} was published with other content than is stored"


def projections_are_folds(evidence: Evidence) -> Iterator[str]:
    """Row by row; and every cursor has come to the head of its shard."""
    yield from (f"nobody folds what {name} projects" for name in evidence.unchecked)
    if evidence.events and not any(evidence.owed_rows.values()):
        yield "there are events, and they fold to no rows at all"
    for table in evidence.rows.keys() | evidence.owed_rows.keys():
        are = _counted(evidence.rows.get(table, ()))
        owed = _counted(evidence.owed_rows.get(table, ()))
        for row in list(are - owed)[:SHOWN]:
            yield f"{table} has {row}"
        for row in list(owed - are)[:SHOWN]:
            yield f"{table} lacks {row}"
    for consumer in evidence.consumers:
        yield from _behind(consumer, evidence.heads)


def _counted(rows: Iterable[object]) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True, default=str) for row in rows)


def _behind(consumer: Consumed, heads: Mapping[Place, Head]) -> Iterator[str]:
    logs = {log for log, _ in consumer.cursors}
    for place, head in heads.items():
        came = consumer.cursors.get(place, 0)
        if place[0] in logs and came != head.pos:
            yield f"{consumer.name} is at {came} of {head.pos} in {place[0]}/{place[1]}"


def audit_is_the_store(evidence: Evidence) -> Iterator[str]:
    """Each event is recorded once, and all that was ever signed still holds."""
    stored = Counter(
        Audited(each.place, each.pos, each.tenant, each.hash) for each in evidence.events
    )
    recorded = Counter(evidence.audited)
    for place, pos, tenant, _ in list(stored - recorded)[:SHOWN]:
        yield f"{place[0]}/{place[1]}/{pos} of {tenant} is not in the audit log"
    for place, pos, tenant, _ in list(recorded - stored)[:SHOWN]:
        yield f"the audit log has {place[0]}/{place[1]}/{pos} of {tenant}, as no store has it"
    yield from evidence.broken_seals


def nothing_is_left_over(evidence: Evidence) -> Iterator[str]:
    """After the fault: no lag, nothing parked, nobody halted, and all of it can be read."""
    yield from (f"this release cannot read {each}" for each in evidence.unread)
    for place, head in evidence.heads.items():
        if evidence.relayed.get(place, 0) != head.pos:
            yield f"{place} is relayed up to {evidence.relayed.get(place, 0)} of {head.pos}"
    for consumer in evidence.consumers:
        if consumer.halted:
            yield f"{consumer.name} has halted: {consumer.halted}"
        if consumer.parked:
            yield f"{consumer.name} has parked {consumer.parked} events"
        if consumer.rebuild_needed:
            yield f"{consumer.name} did not know {consumer.rebuild_needed} events"


def claims_are_those_of_the_streams(evidence: Evidence) -> Iterator[str]:
    """No more and no fewer, nothing held by two at a time; numbers of a series count from 1."""
    yield from (f"no stream holds {claim}" for claim in evidence.claims - evidence.owed_claims)
    yield from (f"not claimed is {claim}" for claim in evidence.owed_claims - evidence.claims)
    yield from _held_twice(evidence.owed_claims)
    series: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for claim in evidence.owed_claims:
        if claim.scope.startswith(NUMBER):
            series[claim.tenant, claim.scope].append(int(claim.key))
    for (tenant, scope), numbers in series.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"{scope} of {tenant} has {sorted(numbers)}"


def _held_twice(claims: Iterable[Held]) -> Iterator[str]:
    rivals: defaultdict[tuple[str, str, str], list[Held]] = defaultdict(list)
    for claim in claims:
        rivals[claim.tenant, claim.scope, claim.key].append(claim)
    for same in rivals.values():
        for one, other in combinations(same, 2):
            if one.stream != other.stream and one.claim.overlaps(other.claim):
                yield f"two streams hold {one.scope}/{one.key}: {one.stream}, {other.stream}"


INVARIANTS: Mapping[str, Callable[[Evidence], Iterator[str]]] = {
    "1 every accepted command is stored once": commands_are_stored_once,
    "2 no hole in a log": logs_have_no_hole,
    "3 topics hold the log": topics_hold_the_log,
    "4 projections are folds of the log": projections_are_folds,
    "5 the audit is the store": audit_is_the_store,
    "7 nothing is left over": nothing_is_left_over,
    "8 claims are those of the streams": claims_are_those_of_the_streams,
}
