"""Rows as folds of streams, purely: which rows a batch of events changes, and how."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

E = TypeVar("E")
S = TypeVar("S")

Key: TypeAlias = tuple[str, str]  # tenant, stream


@dataclass(frozen=True, slots=True)
class Row(Generic[S]):
    """A folded value, and the version of the stream it is folded up to."""

    value: S
    version: int


def folded(
    evolve: Callable[[S, E], S],
    initial: S,
    rows: Mapping[Key, Row[S]],
    events: Iterable[tuple[Key, int, E]],
) -> dict[Key, Row[S]]:
    """The rows that these events change. What a row has seen before changes nothing."""
    changed: dict[Key, Row[S]] = {}
    for key, version, event in events:
        row = changed.get(key) or rows.get(key) or Row(initial, 0)
        if version > row.version:
            changed[key] = Row(evolve(row.value, event), version)
    return changed
