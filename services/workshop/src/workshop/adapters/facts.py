"""Facts for decisions, out of the read models, each in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime.database import Pool, rows
from workshop.application.facts import KnownVehicle
from workshop.application.ports import Known
from workshop.domain.job.facts import Certification, TechnicianFacts
from workshop.domain.values import JobId, TechnicianId, VehicleId

VEHICLE = "SELECT vin, plate, sold, version FROM read.vehicle WHERE vehicle = %s"
TECHNICIAN = "SELECT active, certifications, version FROM read.technician WHERE technician = %s"
DEFERRED = """
SELECT d.job, d.line FROM read.deferred_line d
 WHERE d.vehicle = %s AND NOT EXISTS (
   SELECT FROM read.returned_line r
    WHERE (r.tenant, r.from_job, r.from_line) = (d.tenant, d.job, d.line))
 ORDER BY d.job, d.line"""
STARTED = """
SELECT DISTINCT job FROM read.clock WHERE technician = %s AND started_at >= %s ORDER BY job"""
NEXT_JOB = "SELECT number.next_job(%s)"


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    pool: Pool

    async def vehicle(self, tenant: str, vehicle: VehicleId) -> Known[KnownVehicle] | None:
        found = await rows(self.pool, tenant, VEHICLE, (vehicle,))
        return next((Known(KnownVehicle(*row[:3]), row[3]) for row in found), None)

    async def technician(
        self, tenant: str, technician: TechnicianId
    ) -> Known[TechnicianFacts] | None:
        found = await rows(self.pool, tenant, TECHNICIAN, (technician,))
        return next((Known(technician_of(*row[:2]), row[2]) for row in found), None)

    async def deferred_lines(self, tenant: str, vehicle: VehicleId) -> Sequence[tuple[JobId, int]]:
        found = await rows(self.pool, tenant, DEFERRED, (vehicle,))
        return [(JobId(str(job)), line) for job, line in found]

    async def started(
        self, tenant: str, technician: TechnicianId, since: datetime
    ) -> Sequence[JobId]:
        found = await rows(self.pool, tenant, STARTED, (technician, since))
        return [JobId(str(job)) for (job,) in found]

    async def next_job_number(self, tenant: str) -> int:
        ((number,),) = await rows(self.pool, tenant, NEXT_JOB, (tenant,))
        return int(number)


def technician_of(active: bool, certifications: Sequence[dict[str, Any]]) -> TechnicianFacts:
    held = (
        Certification(
            each["code"],
            datetime.fromisoformat(each["valid_from"]),
            _moment(each["expires_at"]),
            _moment(each["revoked_at"]),
        )
        for each in certifications
    )
    return TechnicianFacts(known=True, active=active, certifications=tuple(held))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
