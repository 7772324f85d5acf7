"""Everything that `main` puts together, on a real broker: what is said elsewhere arrives here."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from bayline.technician.v1 import technician_pb2
from bayline.vehicle.v1 import vehicle_pb2
from bayline.workshop.v1 import job_pb2
from runtime.database import rows
from runtime.settings import Kafka
from testkit.servers import KafkaServer
from testkit.topics import WrittenLog, eventually, publish

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration

TRUCK = UUID("00000000-0000-7000-8000-000000000001")
TECHNICIAN = UUID("00000000-0000-7000-8000-000000000002")
FLEET = "bayline.vehicle.v1"
ROSTER = "bayline.technician.v1"


async def test_facts_arrive_lists_follow_and_policies_react(
    whole_shop: "Shop", kafka_server: KafkaServer
) -> None:
    shop, kafka = whole_shop, Kafka(bootstrap=kafka_server.bootstrap)
    fleet, roster = WrittenLog(f"{FLEET}.VehicleEvent"), WrittenLog(f"{ROSTER}.TechnicianEvent")
    registered = vehicle_pb2.VehicleEvent(
        vehicle_registered=vehicle_pb2.VehicleRegistered(plate="B-AY 7")
    )
    joined = technician_pb2.TechnicianEvent(
        technician_registered=technician_pb2.TechnicianRegistered(personnel_number="7")
    )
    granted = technician_pb2.CertificationGranted(code="BRAKES")
    granted.valid_from.FromDatetime(shop.now() - timedelta(days=9))
    of_fleet = [
        fleet.append(
            TRUCK,
            registered.SerializeToString(),
            tenant=shop.tenant,
            of_type=f"{FLEET}.VehicleRegistered",
        )
    ]
    of_roster = [
        roster.append(TECHNICIAN, event.SerializeToString(), tenant=shop.tenant)
        for event in (
            joined,
            technician_pb2.TechnicianEvent(certification_granted=granted),
        )
    ]
    site = await shop.site()
    await publish(kafka, [*of_fleet, *of_roster])
    await eventually(lambda: _facts_arrived(shop))

    job = await shop.ready(site.name, f"vehicles/{TRUCK}", certification="BRAKES")
    reply = await shop.ask(
        "StartWork",
        name=job.name,
        technician=f"technicians/{TECHNICIAN}",
        bay=site.bays[0].name,
        planned_end=shop.now() + timedelta(hours=1),
    )
    await eventually(lambda: _has_come_to(shop, reply.position))
    listed = (await shop.ask("ListJobs", query="AY 7", after=reply.position)).message.jobs
    revoked = technician_pb2.CertificationRevoked(code="BRAKES")
    revoked.revoked_at.FromDatetime(shop.now() - timedelta(days=1))
    event = technician_pb2.TechnicianEvent(certification_revoked=revoked)
    await publish(kafka, [roster.append(TECHNICIAN, event.SerializeToString(), tenant=shop.tenant)])

    assert [(row.name, row.state) for row in listed] == [(job.name, job_pb2.JOB_STATE_IN_PROGRESS)]
    await eventually(lambda: _flagged(shop, job.name))


async def _facts_arrived(shop: "Shop") -> bool:
    query = "SELECT FROM read.vehicle, read.technician WHERE certifications <> '[]'"
    return bool(await rows(shop.running.app, shop.tenant, query))


async def _has_come_to(shop: "Shop", position: str) -> bool:
    """A list that is behind says so, and is asked again."""
    try:
        await shop.ask("ListJobs", after=position)
    except AioRpcError as error:
        if error.code() is not StatusCode.UNAVAILABLE:
            raise
        return False
    return True


async def _flagged(shop: "Shop", name: str) -> bool:
    job: job_pb2.Job = (await shop.ask("GetJob", name=name)).message
    return [flag.reason for flag in job.flags] == ["CERTIFICATION_WAS_REVOKED"]
