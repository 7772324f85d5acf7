"""How events reach the read models: set by set, in the transaction of the cursor."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from assembly.folding import Key, Row, folded
from assembly.rows import Columns, FoldedRows, Shape, Transaction, plain, replace, save
from eventstore.decider import fold
from eventstore.store import EventStore
from messaging.envelope import Envelope
from workshop.adapters import codec
from workshop.adapters.facts import technician_of
from workshop.application.facts import (
    UNKNOWN_TECHNICIAN,
    UNKNOWN_VEHICLE,
    FleetEvent,
    KnownVehicle,
    RosterEvent,
    learn_of_technician,
    learn_of_vehicle,
)
from workshop.application.projections import JobView, job_view
from workshop.domain.job.decider import JOB
from workshop.domain.job.events import JobEvent
from workshop.domain.job.facts import TechnicianFacts
from workshop.domain.job.state import Job, NoJob
from workshop.domain.site import SiteOpened, SiteRenamed

REMEMBERED_JOBS = 5_000  # a rebuild meets 4,000 between two looks at a partition; 5 KiB each


class JobRows:
    """Each job's rows are a view of its folded stream.

    Jobs seen last are remembered, as they are and as they were before the batch, which may come
    again. One that is not is folded from the store up to where the batch goes on.
    """

    name = "workshop.job-list"

    def __init__(self, store: EventStore[JobEvent]) -> None:
        self._store = store
        self._seen: OrderedDict[Key, tuple[Row[Job | NoJob], Row[Job | NoJob]]] = OrderedDict()

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
        await save(
            tx,
            "job",
            {key: Row(plain(new.row), after[key].version) for key, (_, new) in views.items()},
        )
        for table, part in PARTS.items():
            await replace(tx, table, "job", _changed(views, part))
        self._remember(before, after)

    async def _row(self, key: Key, version: int) -> Row[Job | NoJob]:
        for seen in self._seen.get(key, ()):
            if seen.version == version:
                return seen
        if version == 0:
            return Row(JOB.initial, 0)
        tenant, stream = key
        events = (await self._store.read(tenant, UUID(stream))).events
        before = (each for each in events if each.version <= version)
        return Row(fold(JOB.evolve, JOB.initial, before), version)

    def _remember(
        self, before: Mapping[Key, Row[Job | NoJob]], after: Mapping[Key, Row[Job | NoJob]]
    ) -> None:
        for key, row in after.items():
            self._seen[key] = before[key], row
            self._seen.move_to_end(key)
        while len(self._seen) > REMEMBERED_JOBS:
            self._seen.popitem(last=False)


def _key(envelope: Envelope) -> Key:
    return envelope.tenant, envelope.stream


def _view(job: Job | NoJob, last: Envelope) -> JobView | None:
    return job_view(job, last.recorded_at) if isinstance(job, Job) else None


def _changed(
    views: Mapping[Key, tuple[JobView | None, JobView]], part: Callable[[JobView], Sequence[Any]]
) -> dict[Key, Sequence[Columns]]:
    return {
        key: [plain(row) for row in part(new)]
        for key, (old, new) in views.items()
        if part(new) != (part(old) if old else ())
    }


PARTS: Mapping[str, Callable[[JobView], Sequence[Any]]] = {
    "deferred_line": lambda view: view.deferred,
    "returned_line": lambda view: view.returned,
    "clock": lambda view: view.clocks,
}


def _vehicle_row(vehicle: KnownVehicle) -> Columns:
    return {"vin": vehicle.vin, "plate": vehicle.plate, "sold": vehicle.sold}


def _technician_row(technician: TechnicianFacts) -> Columns:
    held = [plain(certification) for certification in technician.certifications]
    return {"active": technician.active, "certifications": held}


SITES: Shape[str] = Shape(
    "site",
    to_row=lambda title: {"title": title},
    of_row=lambda row: str(row["title"]),
)
VEHICLES: Shape[KnownVehicle] = Shape(
    "vehicle",
    to_row=_vehicle_row,
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
        "workshop.fleet", codec.FLEET_EVENTS, learn_of_vehicle, UNKNOWN_VEHICLE, VEHICLES
    )


def roster() -> FoldedRows[RosterEvent, TechnicianFacts]:
    return FoldedRows(
        "workshop.roster", codec.ROSTER_EVENTS, learn_of_technician, UNKNOWN_TECHNICIAN, TECHNICIANS
    )
