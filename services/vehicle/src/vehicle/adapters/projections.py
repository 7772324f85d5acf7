"""How events reach the read models: rows that are folds of streams."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from assembly.folding import Key, Row
from assembly.rows import Columns, FoldedRows, Shape, Transaction, plain, replace
from kernel.money import Money
from kernel.units import Distance, DistanceUnit
from messaging.envelope import Envelope
from vehicle.adapters import codec
from vehicle.application.history import (
    JobHistory,
    Occurred,
    Stay,
    VisitState,
    evolve,
    visits,
)
from vehicle.application.job_events import JobId
from vehicle.domain.values import SiteId, VehicleId, Vin, VinRegion
from vehicle.domain.vehicle import VEHICLE, NoVehicle, State, Vehicle, VehicleEvent


class HistoryRows(FoldedRows[Occurred, JobHistory]):
    """A row for each job, and its visits beside it."""

    def seen(self, envelope: Envelope, event: Any) -> Occurred:
        return Occurred(envelope.occurred_at, event)

    async def saved(
        self,
        tx: Transaction,
        before: Mapping[Key, Row[JobHistory]],
        after: Mapping[Key, Row[JobHistory]],
    ) -> None:
        await super().saved(tx, before, after)
        await replace(tx, "visit", "job", {key: _visits(key, row) for key, row in after.items()})


def vehicle_list() -> FoldedRows[VehicleEvent, State]:
    return FoldedRows("vehicle.vehicle-list", codec.OWN, VEHICLE.evolve, NoVehicle(), VEHICLES)


def service_history() -> HistoryRows:
    return HistoryRows("vehicle.service-history", codec.JOB_EVENTS, evolve, JobHistory(), JOBS)


def vehicle_of(row: Columns) -> Vehicle:
    return Vehicle(
        vin=Vin(row["vin"]),
        vin_region=VinRegion(row["vin_region"]),
        plate=row["plate"],
        asset_number=row["asset_number"],
        make=row["make"],
        model=row["model"],
        model_year=row["model_year"],
        site=SiteId(row["site"]) if row["site"] else None,
        formerly=VehicleId(row["formerly"]) if row["formerly"] else None,
        warnings=tuple(row["warnings"]),
        sold=row["sold"],
    )


def distance_of(row: Columns | None) -> Distance | None:
    return Distance(row["metres"], DistanceUnit(row["unit"])) if row else None


def money_of(row: Columns | None) -> Money | None:
    return Money(row["minor"], row["currency"]) if row else None


def _row(vehicle: State) -> Columns:
    assert isinstance(vehicle, Vehicle)
    row: Columns = plain(vehicle)
    return row


def _visits(key: Key, row: Row[JobHistory]) -> list[Columns]:
    job = JobId(key[1])
    of_job = enumerate(visits(job, row.value), start=1)
    return [{**plain(each), "visit": n, "vehicle": row.value.vehicle} for n, each in of_job]


def _history_row(job: JobHistory) -> Columns:
    stays = [plain(stay) | {"done": sorted(stay.done)} for stay in job.stays]
    return {
        "number": job.number,
        "vehicle": job.vehicle,
        "codes": dict(job.codes),
        "stays": stays,
    }


def _stay(row: Columns) -> Stay:
    return Stay(
        state=VisitState(row["state"]),
        requested_at=datetime.fromisoformat(row["requested_at"]),
        released_at=datetime.fromisoformat(row["released_at"]) if row["released_at"] else None,
        meter_in=distance_of(row["meter_in"]),
        done=frozenset(row["done"]),
        net=money_of(row["net"]),
    )


VEHICLES: Shape[State] = Shape("vehicle", to_row=_row, of_row=vehicle_of)
JOBS: Shape[JobHistory] = Shape(
    "job",
    to_row=_history_row,
    of_row=lambda row: JobHistory(
        number=row["number"],
        vehicle=VehicleId(row["vehicle"]),
        codes={int(line): code for line, code in row["codes"].items()},
        stays=tuple(_stay(each) for each in row["stays"]),
    ),
)
