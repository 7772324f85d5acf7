"""How events reach the read models: set by set, in the transaction of the cursor."""

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from eventstore.decider import fold
from eventstore.store import EventStore
from messaging.envelope import Envelope
from workshop.adapters import codec
from workshop.adapters.codec import IRRELEVANT, SelectedEvents
from workshop.adapters.facts import technician_of
from workshop.application.facts import (
    NEW_TECHNICIAN,
    FleetEvent,
    KnownVehicle,
    RosterEvent,
    learn_of_technician,
    learn_of_vehicle,
)
from workshop.application.projections import JobView, Key, Row, folded, job_view
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent
from workshop.domain.job.facts import TechnicianFacts
from workshop.domain.job.state import Job, NoJob
from workshop.domain.site import SiteOpened, SiteRenamed

E = TypeVar("E")
S = TypeVar("S")

Transaction: TypeAlias = AsyncConnection[TupleRow]
Columns: TypeAlias = Mapping[str, Any]

REMEMBERED_JOBS = 2_000
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
DELETE FROM {table} t USING unnest(%s::text[], %s::uuid[]) w(tenant, job)
 WHERE (t.tenant, t.job) = (w.tenant, w.job)""")
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
        query = LOAD.format(table=Identifier("read", self.table), id=Identifier(self.table))
        found = await tx.execute(query, _split(keys))
        rows = [row for (row,) in await found.fetchall()]
        return {
            (row["tenant"], row[self.table]): Row(self.of_row(row), row["version"]) for row in rows
        }

    async def save(self, tx: Transaction, rows: Mapping[Key, Row[S]]) -> None:
        changed = {key: Row(self.to_row(row.value), row.version) for key, row in rows.items()}
        await _save(tx, self.table, changed)


class FoldedRows(Generic[E, S]):
    """The rows of streams, folded: loaded, changed and saved a batch at a time."""

    def __init__(
        self,
        name: str,
        events: SelectedEvents[E],
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
            ((envelope.tenant, envelope.stream), envelope.version, event)
            for envelope, event in batch
            if event is not IRRELEVANT
        ]
        if events:
            rows = await self._shape.load(tx, {key for key, _, _ in events})
            changed = folded(self._evolve, self._initial, rows, events)
            await self._shape.save(tx, changed)


class JobList:
    """Each job's rows are a view of its folded stream.

    Jobs seen last are remembered; one that is not, or that a failed transaction has left ahead,
    is folded from the store up to where the batch goes on.
    """

    name = "workshop.job-list"

    def __init__(self, store: EventStore[JobEvent]) -> None:
        self._store = store
        self._seen: OrderedDict[Key, Row[Job | NoJob]] = OrderedDict()

    def decode(self, envelope: Envelope) -> object | None:
        return codec.job_event(envelope.type, envelope.data, envelope.version)

    async def apply(self, tx: Transaction, batch: Sequence[tuple[Envelope, Any]]) -> None:
        first: dict[Key, int] = {}
        last: dict[Key, Envelope] = {}
        for envelope, _ in batch:
            key = envelope.tenant, envelope.stream
            first.setdefault(key, envelope.version)
            last[key] = envelope
        before = {key: await self._row(key, version - 1) for key, version in first.items()}
        events = ((_key(envelope), envelope.version, event) for envelope, event in batch)
        after = folded(JOB.evolve, JOB.initial, before, events)
        views = {
            key: (_view(before[key].value, last[key]), view)
            for key, row in after.items()
            if (view := _view(row.value, last[key]))
        }
        await _save(
            tx,
            "job",
            {key: Row(asdict(new.row), after[key].version) for key, (_, new) in views.items()},
        )
        for table, part in PARTS.items():
            await _replace(tx, table, _changed(views, part))
        self._remember(after)

    async def _row(self, key: Key, version: int) -> Row[Job | NoJob]:
        seen = self._seen.get(key)
        if seen is not None and seen.version == version:
            return seen
        if version == 0:
            return Row(JOB.initial, 0)
        tenant, stream = key
        recorded = (await self._store.read(tenant, UUID(stream))).events[:version]
        return Row(fold(JOB.evolve, JOB.initial, recorded), version)

    def _remember(self, rows: Mapping[Key, Row[Job | NoJob]]) -> None:
        for key, row in rows.items():
            self._seen[key] = row
            self._seen.move_to_end(key)
        while len(self._seen) > REMEMBERED_JOBS:
            self._seen.popitem(last=False)


def _key(envelope: Envelope) -> Key:
    return envelope.tenant, envelope.stream


def _view(job: Job | NoJob, last: Envelope) -> JobView | None:
    return job_view(job, last.recorded_at) if isinstance(job, Job) else None


def _changed(
    views: Mapping[Key, tuple[JobView | None, JobView]], part: Callable[[JobView], Sequence[Any]]
) -> dict[Key, Sequence[Any]]:
    return {
        key: part(new)
        for key, (old, new) in views.items()
        if part(new) != (part(old) if old else ())
    }


PARTS: Mapping[str, Callable[[JobView], Sequence[Any]]] = {
    "deferred_line": lambda view: view.deferred,
    "returned_line": lambda view: view.returned,
    "clock": lambda view: view.clocks,
}


async def _save(tx: Transaction, table: str, rows: Mapping[Key, Row[Columns]]) -> None:
    """A row that is newer already stays."""
    found = [
        {"tenant": tenant, table: stream, "version": row.version, **row.value}
        for (tenant, stream), row in rows.items()
    ]
    if found:
        columns = [Identifier(name) for name in found[0]]
        query = SAVE.format(
            table=Identifier("read", table),
            id=Identifier(table),
            columns=COMMA.join(columns),
            excluded=COMMA.join(Identifier("excluded", name) for name in found[0]),
        )
        await tx.execute(query, [_json(found)])


async def _replace(tx: Transaction, table: str, rows: Mapping[Key, Sequence[Any]]) -> None:
    """All that the table has of these jobs."""
    if not rows:
        return
    name = Identifier("read", table)
    await tx.execute(CLEAR.format(table=name), _split(rows))
    found = [
        {"tenant": tenant, "job": job, **asdict(row)}
        for (tenant, job), of_job in rows.items()
        for row in of_job
    ]
    if found:
        columns = COMMA.join(map(Identifier, found[0]))
        await tx.execute(FILL.format(table=name, columns=columns), [_json(found)])


def _split(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    pairs = list(keys)
    return [tenant for tenant, _ in pairs], [stream for _, stream in pairs]


def _json(rows: Iterable[Columns]) -> Jsonb:
    return Jsonb(list(rows), dumps=partial(json.dumps, default=str))


def _technician_row(technician: TechnicianFacts) -> Columns:
    held = [asdict(certification) for certification in technician.certifications]
    return {"active": technician.active, "certifications": held}


SITES: Shape[str] = Shape(
    "site",
    to_row=lambda title: {"title": title},
    of_row=lambda row: str(row["title"]),
)
VEHICLES: Shape[KnownVehicle] = Shape(
    "vehicle",
    to_row=asdict,
    of_row=lambda row: KnownVehicle(row["vin"], row["plate"], row["sold"]),
)
TECHNICIANS: Shape[TechnicianFacts] = Shape(
    "technician",
    to_row=_technician_row,
    of_row=lambda row: technician_of(row["active"], row["certifications"]),
)


def site_list() -> FoldedRows[SiteOpened | SiteRenamed, str]:
    return FoldedRows(
        "workshop.site-list", codec.SITE_TITLES, lambda _, event: event.title, "", SITES
    )


def fleet() -> FoldedRows[FleetEvent, KnownVehicle]:
    return FoldedRows(
        "workshop.fleet", codec.FLEET_EVENTS, learn_of_vehicle, KnownVehicle(), VEHICLES
    )


def roster() -> FoldedRows[RosterEvent, TechnicianFacts]:
    return FoldedRows(
        "workshop.roster", codec.ROSTER_EVENTS, learn_of_technician, NEW_TECHNICIAN, TECHNICIANS
    )
