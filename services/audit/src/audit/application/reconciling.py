"""The audit log against the stores: the same events at the same positions, or a finding."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stored:
    """An event of a store. `computed` is what its hash should be, from everything it consists of."""

    pos: int
    hash: bytes
    previous_hash: bytes
    computed: bytes


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    pos: int
    what: str


def behind(stored: Sequence[Stored], audited: Mapping[int, AbstractSet[bytes]]) -> int:
    """How many events the audit has not come to yet."""
    return sum(event.pos > max(audited, default=0) for event in stored)


def differences(
    stored: Sequence[Stored], genesis: bytes, audited: Mapping[int, AbstractSet[bytes]]
) -> Iterator[Difference]:
    """Of one shard. `audited`: the hashes that were recorded at each position, in any epoch."""
    last = genesis
    for expected, event in enumerate(stored, 1):
        if event.pos != expected:
            yield Difference(expected, "the store has no such event")
            return
        if event.previous_hash != last or event.computed != event.hash:
            yield Difference(event.pos, "the store's event is not what its hash chain says")
        last = event.hash
        yield from _recorded(event, audited)
    for pos in sorted(pos for pos in audited if pos > len(stored)):
        yield Difference(pos, "the store has lost an event that the audit log has")


def _recorded(event: Stored, audited: Mapping[int, AbstractSet[bytes]]) -> Iterator[Difference]:
    recorded = audited.get(event.pos, frozenset())
    if event.hash in recorded:
        return
    if recorded:
        yield Difference(event.pos, "the audit log has another event there")
    elif event.pos < max(audited, default=0):
        yield Difference(event.pos, "the audit log has no such event")
