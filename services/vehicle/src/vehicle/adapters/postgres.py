"""The read models in PostgreSQL, as requests see them."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import TupleRow

from runtime.database import Pool, rows
from vehicle.adapters.projections import distance_of, money_of, vehicle_of
from vehicle.application.history import Visit, VisitState
from vehicle.application.job_events import JobId
from vehicle.application.queries import After, Found, VehicleFilter
from vehicle.domain.values import VehicleId

VEHICLES = """
SELECT vehicle, version, to_jsonb(t) FROM read.vehicle t
 WHERE (%(visible)s::text[] IS NULL OR site IS NULL OR site::text = ANY (%(visible)s))
   AND (%(site)s::uuid IS NULL OR site = %(site)s)
   AND (%(part)s = '' OR strpos(plate, %(part)s) > 0 OR strpos(vin, %(part)s) > 0
        OR strpos(upper(asset_number), %(part)s) > 0)
   AND (%(id)s::uuid IS NULL OR (asset_number, vehicle) > (%(key)s, %(id)s))
 ORDER BY asset_number, vehicle LIMIT %(limit)s"""
VISITS = """
SELECT job, visit, number, state, requested_at, released_at, meter_in, codes, net FROM read.visit
 WHERE vehicle = %(vehicle)s
   AND (%(id)s::uuid IS NULL OR (requested_at, job, visit)
        < (split_part(%(key)s, ' ', 1)::timestamptz, %(id)s, split_part(%(key)s, ' ', 2)::int))
 ORDER BY requested_at DESC, job DESC, visit DESC LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class PostgresVehicleList:
    pool: Pool

    async def page(
        self, tenant: str, filters: VehicleFilter, size: int, after: After | None
    ) -> tuple[Sequence[Found], After | None]:
        parameters = {
            "visible": None if filters.visible is None else sorted(filters.visible),
            "site": filters.site,
            "part": filters.part.upper(),
            "key": after.key if after else "",
            "id": after.id if after else None,
            "limit": size + 1,
        }
        found = [_found(row) for row in await rows(self.pool, tenant, VEHICLES, parameters)]
        last = found[size - 1] if len(found) > size else None
        return found[:size], After(last.vehicle.asset_number, last.id) if last else None


@dataclass(frozen=True, slots=True)
class PostgresServiceHistory:
    pool: Pool

    async def page(
        self, tenant: str, vehicle_id: VehicleId, size: int, after: After | None
    ) -> tuple[Sequence[Visit], After | None]:
        parameters = {
            "vehicle": vehicle_id,
            "key": after.key if after else "",
            "id": after.id if after else None,
            "limit": size + 1,
        }
        found = await rows(self.pool, tenant, VISITS, parameters)
        end = _end(found[size - 1]) if len(found) > size else None
        return [_visit(row) for row in found[:size]], end


def _found(row: TupleRow) -> Found:
    vehicle, version, columns = row
    return Found(VehicleId(str(vehicle)), version, vehicle_of(columns))


def _visit(row: TupleRow) -> Visit:
    job, _, number, state, requested_at, released_at, meter_in, codes, net = row
    return Visit(
        job=JobId(str(job)),
        number=number,
        state=VisitState(state),
        requested_at=requested_at,
        released_at=released_at,
        meter_in=distance_of(meter_in),
        codes=tuple(codes),
        net=money_of(net),
    )


def _end(row: TupleRow) -> After:
    job, visit, _, _, requested_at, *_ = row
    return After(f"{requested_at.isoformat()} {visit}", str(job))
