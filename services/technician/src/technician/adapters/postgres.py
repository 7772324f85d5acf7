"""The read models in PostgreSQL, as requests see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg.rows import TupleRow

from runtime.database import Pool, rows
from technician.adapters.projections import technician_of
from technician.application.queries import After, Found, JobId, RosterFilter, Workload
from technician.domain.values import TechnicianId

PAGE = """
SELECT technician, version, to_jsonb(t) FROM read.technician t
 WHERE (%(visible)s::text[] IS NULL OR site::text = ANY (%(visible)s))
   AND (%(site)s::uuid IS NULL OR site = %(site)s)
   AND (active OR %(inactive)s)
   AND (%(certification)s = '' OR EXISTS (
     SELECT FROM jsonb_to_recordset(certifications)
            c(code text, valid_from timestamptz, expires_at timestamptz, revoked_at timestamptz)
      WHERE c.code = %(certification)s AND c.valid_from <= %(at)s
        AND (c.expires_at IS NULL OR c.expires_at > %(at)s)
        AND (c.revoked_at IS NULL OR c.revoked_at > %(at)s)))
   AND (%(id)s::uuid IS NULL OR (personnel_number, technician) > (%(key)s, %(id)s))
 ORDER BY personnel_number, technician LIMIT %(limit)s"""
WORKLOAD = """
SELECT (SELECT count(*) FROM read.job j WHERE j.technician = %(technician)s AND j.is_open),
       (SELECT c.job FROM read.clock c
         WHERE c.technician = %(technician)s AND c.stopped_at IS NULL ORDER BY c.started_at DESC LIMIT 1),
       (SELECT max(c.started_at) FROM read.clock c
         WHERE c.technician = %(technician)s AND c.stopped_at IS NULL),
       (SELECT coalesce(sum(c.stopped_at - c.started_at), interval '0') FROM read.clock c
         WHERE c.technician = %(technician)s),
       (SELECT count(DISTINCT c.job) FROM read.clock c JOIN read.job j USING (tenant, job)
         WHERE c.technician = %(technician)s AND j.completions > 0)"""


@dataclass(frozen=True, slots=True)
class PostgresRoster:
    pool: Pool

    async def page(
        self, tenant: str, filters: RosterFilter, size: int, after: After | None
    ) -> tuple[Sequence[Found], After | None]:
        parameters = {
            "visible": None if filters.visible is None else sorted(filters.visible),
            "site": filters.site,
            "inactive": filters.include_inactive,
            "certification": filters.certification,
            "at": filters.at,
            "key": after.key if after else "",
            "id": after.id if after else None,
            "limit": size + 1,
        }
        found = [_found(row) for row in await rows(self.pool, tenant, PAGE, parameters)]
        last = found[size - 1] if len(found) > size else None
        return found[:size], After(last.technician.personnel_number, last.id) if last else None


@dataclass(frozen=True, slots=True)
class PostgresWorkloads:
    pool: Pool

    async def of(self, tenant: str, technician: TechnicianId) -> Workload:
        [row] = await rows(self.pool, tenant, WORKLOAD, {"technician": technician})
        assigned, job, since, worked, completed = row
        clocked_on = JobId(str(job)) if job else None
        return Workload(assigned, clocked_on, since, worked or timedelta(), completed)


def _found(row: TupleRow) -> Found:
    technician, version, columns = row
    return Found(TechnicianId(str(technician)), version, technician_of(columns))
