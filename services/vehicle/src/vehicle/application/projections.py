"""Rows that are folded streams: an event and the row before give the row after."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

E = TypeVar("E")
S = TypeVar("S")

Key: TypeAlias = tuple[str, UUID]  # tenant and stream


@dataclass(frozen=True, slots=True)
class Row(Generic[S]):
    version: int
    state: S


def folded(
    evolve: Callable[[S, E], S],
    initial: S,
    rows: Mapping[Key, Row[S]],
    events: Iterable[tuple[Key, int, E]],
) -> dict[Key, Row[S]]:
    """The rows that these events changed. What a row has seen before changes nothing."""
    changed: dict[Key, Row[S]] = {}
    for key, version, event in events:
        row = changed.get(key) or rows.get(key) or Row(0, initial)
        if version > row.version:
            changed[key] = Row(version, evolve(row.state, event))
    return changed
