"""Read models whose rows are folds of streams: loaded, changed and saved a batch at a time."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from typing import Any, Generic, TypeAlias, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from assembly.folding import Key, Row, folded
from assembly.selected import IRRELEVANT, SelectedEvents
from messaging.envelope import Envelope

E = TypeVar("E")
S = TypeVar("S")

Transaction: TypeAlias = AsyncConnection[TupleRow]
Columns: TypeAlias = Mapping[str, Any]

COMMA = SQL(", ")

LOAD = SQL("""
SELECT to_jsonb(t) FROM {table} t
  JOIN unnest(%s::text[], %s::uuid[]) w(tenant, id) ON (t.tenant, t.{id}) = (w.tenant, w.id)""")
SAVE = SQL("""
INSERT INTO {table} AS kept ({columns})
SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s)
ON CONFLICT (tenant, {id}) DO UPDATE SET ({columns}) = ROW ({excluded})
 WHERE kept.version < excluded.version""")
CLEAR = SQL("""
DELETE FROM {table} t USING unnest(%s::text[], %s::uuid[]) w(tenant, id)
 WHERE (t.tenant, t.{id}) = (w.tenant, w.id)""")
FILL = SQL("""
INSERT INTO {table} ({columns})
SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, %s)""")


@dataclass(frozen=True, slots=True)
class Shape(Generic[S]):
    """A table, named like its id, whose rows are what streams fold to."""

    table: str
    to_row: Callable[[S], Columns]
    of_row: Callable[[Columns], S]

    async def load(self, tx: Transaction, keys: Collection[Key]) -> dict[Key, Row[S]]:
        query = LOAD.format(table=Identifier(self.table), id=Identifier(self.table))
        found = await tx.execute(query, _split(keys))
        rows = [row for (row,) in await found.fetchall()]
        return {
            (row["tenant"], row[self.table]): Row(self.of_row(row), row["version"]) for row in rows
        }

    async def save(self, tx: Transaction, rows: Mapping[Key, Row[S]]) -> None:
        changed = {key: Row(self.to_row(row.value), row.version) for key, row in rows.items()}
        await save(tx, self.table, changed)


class FoldedRows(Generic[E, S]):
    """A projection (`messaging.parking.Projection`): one row for each stream.

    There is none of a stream that has not begun: its first event was of a newer release's kind.
    """

    def __init__(
        self,
        name: str,
        events: SelectedEvents[Any],
        evolve: Callable[[S, E], S],
        initial: S,
        shape: Shape[S],
    ) -> None:
        self.name = name
        self._events, self._evolve, self._initial, self._shape = events, evolve, initial, shape

    def decode(self, envelope: Envelope) -> object | None:
        return self._events.decode(envelope.data)

    async def apply(self, tx: Transaction, batch: Sequence[tuple[Envelope, Any]]) -> None:
        events = [
            ((envelope.tenant, envelope.stream), envelope.version, self.seen(envelope, event))
            for envelope, event in batch
            if event is not IRRELEVANT
        ]
        if events:
            rows = await self._shape.load(tx, {key for key, _, _ in events})
            after = folded(self._evolve, self._initial, rows, events)
            begun = {key for key, row in after.items() if row.value != self._initial}
            kept = {key: after[key] for key in after if key in rows or key in begun}
            await self.saved(tx, rows, kept)

    def seen(self, envelope: Envelope, event: Any) -> E:
        """Overridden where the fold needs more of the envelope, such as when it occurred."""
        found: E = event
        return found

    async def saved(
        self, tx: Transaction, before: Mapping[Key, Row[S]], after: Mapping[Key, Row[S]]
    ) -> None:
        """Overridden where more tables follow from the same fold."""
        await self._shape.save(tx, after)


async def save(tx: Transaction, table: str, rows: Mapping[Key, Row[Columns]]) -> None:
    """One row for each stream. A row that is newer already stays."""
    found = [
        {"tenant": tenant, table: stream, "version": row.version, **row.value}
        for (tenant, stream), row in rows.items()
    ]
    if found:
        columns = [Identifier(name) for name in found[0]]
        query = SAVE.format(
            table=Identifier(table),
            id=Identifier(table),
            columns=COMMA.join(columns),
            excluded=COMMA.join(Identifier("excluded", name) for name in found[0]),
        )
        await tx.execute(query, [_json(found)])


async def replace(
    tx: Transaction, table: str, owner: str, rows: Mapping[Key, Sequence[Columns]]
) -> None:
    """All rows that the table has of these streams; `owner` is the column of the stream's id."""
    if not rows:
        return
    name = Identifier(table)
    await tx.execute(CLEAR.format(table=name, id=Identifier(owner)), _split(rows))
    found = [
        {"tenant": tenant, owner: stream, **row}
        for (tenant, stream), of_stream in rows.items()
        for row in of_stream
    ]
    if found:
        columns = COMMA.join(map(Identifier, found[0]))
        await tx.execute(FILL.format(table=name, columns=columns), [_json(found)])


def plain(value: Any) -> Any:
    """`dataclasses.asdict` for rows that are written at once: it copies nothing it need not."""
    names = _names(value.__class__)
    if names is not None:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value


@cache  # an enum takes its time to say that it has no such attribute
def _names(kind: type[object]) -> tuple[str, ...] | None:
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else None


def _split(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    pairs = list(keys)
    return [tenant for tenant, _ in pairs], [stream for _, stream in pairs]


def _json(rows: Iterable[Columns]) -> Jsonb:
    return Jsonb(list(rows), dumps=partial(json.dumps, default=str))
