"""The read models in PostgreSQL: as requests see them, and as projections write them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from runtime.database import Pool, rows
from vehicle.application.projections import Key, Row
from vehicle.application.queries import After, Found, VehicleFilter
from vehicle.domain.values import SiteId, VehicleId, Vin, VinRegion
from vehicle.domain.vehicle import State, Vehicle

Transaction: TypeAlias = AsyncConnection[TupleRow]

PAGE = """
SELECT vehicle, version, vin, vin_region, plate, asset_number, make, model, model_year, site, formerly,
       warnings, sold
  FROM read.vehicle
 WHERE (%(visible)s::text[] IS NULL OR site IS NULL OR site::text = ANY (%(visible)s))
   AND (%(site)s::uuid IS NULL OR site = %(site)s)
   AND (%(part)s = '' OR strpos(plate, %(part)s) > 0 OR strpos(vin, %(part)s) > 0
        OR strpos(upper(asset_number), %(part)s) > 0)
   AND (%(id)s::uuid IS NULL OR (asset_number, vehicle) > (%(key)s, %(id)s))
 ORDER BY asset_number, vehicle LIMIT %(limit)s"""
LOAD = """
SELECT tenant, vehicle, version, vin, vin_region, plate, asset_number, make, model, model_year, site,
       formerly, warnings, sold
  FROM read.vehicle
  JOIN unnest(%s::text[], %s::uuid[]) wanted(tenant, vehicle) USING (tenant, vehicle)"""
SAVE = """
INSERT INTO read.vehicle AS kept (tenant, vehicle, version, vin, vin_region, plate, asset_number, make,
  model, model_year, site, formerly, warnings, sold)
VALUES (%(tenant)s, %(vehicle)s, %(version)s, %(vin)s, %(vin_region)s, %(plate)s, %(asset_number)s,
        %(make)s, %(model)s, %(model_year)s, %(site)s, %(formerly)s, %(warnings)s, %(sold)s)
ON CONFLICT (tenant, vehicle) DO UPDATE
   SET (version, plate, asset_number, site, sold)
     = (excluded.version, excluded.plate, excluded.asset_number, excluded.site, excluded.sold)
 WHERE kept.version < excluded.version"""


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
        found = [_found(row) for row in await rows(self.pool, tenant, PAGE, parameters)]
        last = found[size - 1] if len(found) > size else None
        return found[:size], After(last.vehicle.asset_number, last.id) if last else None


async def load_vehicles(tx: Transaction, keys: Collection[Key]) -> dict[Key, Row[State]]:
    tenants, streams = [tenant for tenant, _ in keys], [stream for _, stream in keys]
    loaded = await (await tx.execute(LOAD, (tenants, streams))).fetchall()
    return {(row[0], row[1]): Row(row[2], _vehicle(row[3:])) for row in loaded}


async def save_vehicles(tx: Transaction, changed: Mapping[Key, Row[State]]) -> None:
    async with tx.cursor() as cursor:
        await cursor.executemany(SAVE, [_parameters(key, row) for key, row in changed.items()])


def _parameters(key: Key, row: Row[State]) -> dict[str, Any]:
    assert isinstance(row.state, Vehicle)
    tenant, vehicle = key
    values = asdict(row.state) | {"warnings": list(row.state.warnings)}
    return values | {"tenant": tenant, "vehicle": vehicle, "version": row.version}


def _found(row: TupleRow) -> Found:
    return Found(VehicleId(str(row[0])), row[1], _vehicle(row[2:]))


def _vehicle(columns: Sequence[Any]) -> Vehicle:
    vin, region, plate, asset_number, make, model, year, site, formerly, warnings, sold = columns
    return Vehicle(
        vin=Vin(vin),
        vin_region=VinRegion(region),
        plate=plate,
        asset_number=asset_number,
        make=make,
        model=model,
        model_year=year,
        site=SiteId(str(site)) if site else None,
        formerly=VehicleId(str(formerly)) if formerly else None,
        warnings=tuple(warnings),
        sold=sold,
    )
