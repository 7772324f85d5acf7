"""The read models as requests see them: lists, the calendar, facts, numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from runtime.database import Pool, rows
from workshop.application.queries import (
    After,
    CalendarEntry,
    JobFilter,
    JobSummary,
    Visible,
)
from workshop.domain.job.values import JobState, Priority
from workshop.domain.values import BayId, JobId, SiteId, TechnicianId, Timeslot, VehicleId

KEYS: dict[str, tuple[LiteralString, LiteralString]] = {
    "requested_at": ("j.requested_at", "timestamptz"),
    "changed_at": ("j.changed_at", "timestamptz"),
    "promised_at": ("j.promised", "timestamptz"),
    "priority": ("j.urgency", "int"),
    "number": ("j.sequence", "bigint"),
}
NEWEST_FIRST = "requested_at desc"
JOBS: LiteralString = """
SELECT j.job, j.number, j.state, j.version, j.site, j.vehicle, coalesce(v.plate, ''), coalesce(v.vin, ''),
       j.priority, j.technician, j.promised_at, j.requested_at, j.changed_at, {key}::text
  FROM read.job j LEFT JOIN read.vehicle v USING (tenant, vehicle)
 WHERE {conditions}
 ORDER BY {key} {direction}, j.job {direction}
 LIMIT %(limit)s"""
CALENDAR = """
SELECT booked_bay, job, number, booked_from, booked_until, occupied_bay IS NOT DISTINCT FROM booked_bay
  FROM read.job
 WHERE site = %s AND booked_bay IS NOT NULL AND booked_from < %s AND booked_until > %s
 ORDER BY booked_bay, booked_from"""
SITES = """
SELECT site, title FROM read.site
 WHERE (%(sites)s::text[] IS NULL OR site::text = ANY (%(sites)s))
   AND (%(id)s::uuid IS NULL OR (title, site) > (%(key)s, %(id)s::uuid))
 ORDER BY title, site LIMIT %(limit)s"""


@dataclass(frozen=True, slots=True)
class PostgresJobList:
    pool: Pool

    async def page(
        self,
        tenant: str,
        visible: Visible,
        filters: JobFilter,
        order_by: str,
        size: int,
        after: After | None,
    ) -> tuple[Sequence[JobSummary], After | None]:
        name, _, descending = (order_by or NEWEST_FIRST).partition(" ")
        key, key_type = KEYS[name]
        conditions = _conditions(visible, filters)
        if after is not None:
            sign: LiteralString = "<" if descending else ">"
            conditions.append(f"({key}, j.job) {sign} (%(key)s::{key_type}, %(id)s::uuid)")
        query = JOBS.format(
            key=key,
            conditions=" AND ".join(conditions) or "true",
            direction="DESC" if descending else "ASC",
        )
        parameters = _parameters(visible, filters, after, size + 1)
        found = await rows(self.pool, tenant, query, parameters)
        last = found[size - 1] if len(found) > size else None
        end = After(last[-1], str(last[0])) if last else None
        return [_summary(row) for row in found[:size]], end

    async def calendar(
        self, tenant: str, site: SiteId, start: datetime, end: datetime
    ) -> Sequence[CalendarEntry]:
        found = await rows(self.pool, tenant, CALENDAR, (site, end, start))
        return [
            CalendarEntry(
                BayId(str(bay)), JobId(str(job)), number, Timeslot(since, until), occupied
            )
            for bay, job, number, since, until, occupied in found
        ]


@dataclass(frozen=True, slots=True)
class PostgresSiteList:
    pool: Pool

    async def page(
        self, tenant: str, sites: frozenset[str] | None, size: int, after: After | None
    ) -> tuple[Sequence[SiteId], After | None]:
        parameters = {
            "sites": None if sites is None else sorted(sites),
            "key": after.key if after else "",
            "id": after.id if after else None,
            "limit": size + 1,
        }
        found = await rows(self.pool, tenant, SITES, parameters)
        last = found[size - 1] if len(found) > size else None
        end = After(last[1], str(last[0])) if last else None
        return [SiteId(str(site)) for site, _ in found[:size]], end


def _conditions(visible: Visible, filters: JobFilter) -> list[LiteralString]:
    """Only what filters is in the query, so that each shape of it gets a plan of its own."""
    wanted: list[tuple[object, LiteralString]] = [
        (
            visible.sites is not None,
            "(j.site::text = ANY (%(sites)s) OR j.requester = %(requester)s)",
        ),
        (filters.states, "j.state = ANY (%(states)s)"),
        (filters.site, "j.site = %(site)s"),
        (filters.vehicle, "j.vehicle = %(vehicle)s"),
        (filters.technician, "j.technician = %(technician)s"),
        (filters.mine, "(j.requester = %(me)s OR j.technician = %(my_technician)s)"),
        (
            filters.query,
            "(j.number LIKE %(prefix)s OR j.vehicle IN (SELECT read.vehicles_like(%(part)s)))",
        ),
    ]
    return [condition for given, condition in wanted if given]


def _parameters(
    visible: Visible, filters: JobFilter, after: After | None, limit: int
) -> dict[str, Any]:
    me, my_technician = filters.mine or ("", None)
    part = _literal(filters.query.upper())
    return {
        "sites": sorted(visible.sites or ()),
        "requester": visible.requester,
        "states": [str(state) for state in filters.states],
        "site": filters.site,
        "vehicle": filters.vehicle,
        "technician": filters.technician,
        "me": me,
        "my_technician": my_technician,
        "prefix": f"{part}%",
        "part": part,
        "key": after.key if after else None,
        "id": after.id if after else None,
        "limit": limit,
    }


def _literal(text: str) -> str:
    """As LIKE takes it: nothing in it is a wildcard."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _summary(row: Sequence[Any]) -> JobSummary:
    job, number, state, version, site, vehicle, plate, vin, priority, technician, *times, _ = row
    promised_at, requested_at, changed_at = times
    return JobSummary(
        JobId(str(job)),
        number,
        JobState(state),
        version,
        SiteId(str(site)),
        VehicleId(str(vehicle)),
        plate,
        vin,
        Priority(priority) if priority else None,
        TechnicianId(str(technician)) if technician else None,
        promised_at,
        requested_at,
        changed_at,
    )
