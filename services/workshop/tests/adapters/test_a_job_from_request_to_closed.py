"""The main story, over gRPC and a real database."""

from typing import TYPE_CHECKING

import pytest

from bayline.workshop.v1 import job_pb2

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration


async def test_a_job_goes_from_request_to_closed(shop: "Shop") -> None:
    site = await shop.site()
    technician = await shop.technician("BRAKES")
    job = await shop.ready(site.name, certification="BRAKES")
    assert (job.number, job.state) == ("J-1001", job_pb2.JOB_STATE_READY)

    job = await shop.started(job, technician, site.bays[0].name)
    job = await shop.step(job, "CompleteLine", line=1)
    job = await shop.step(job, "StopLabour", technician=technician)
    job = await shop.step(job, "CompleteWork")
    job = await shop.step(job, "PassQc")
    job = await shop.step(job, "ReleaseVehicle", odometer={"value": "120012", "unit": 1})
    job = await shop.step(job, "InvoiceJob")
    job = await shop.step(job, "CloseJob")

    assert job.state == job_pb2.JOB_STATE_CLOSED
    assert job.complaint == "Brakes grind when cold"
    assert job.invoice.number.endswith("-000001")
    assert (job.invoice.net.minor, job.invoice.tax.minor) == (14_250, 2_708)
    assert list(job.allowed_actions) == ["correctLabour", "reopen", "correctMeter"]
    assert (await shop.ask("GetJob", name=job.name)).message == job


async def test_a_trailer_without_vin_and_plate_gets_a_job(shop: "Shop") -> None:
    site = await shop.site()
    trailer = await shop.vehicle(plate="", vin="")

    job = await shop.requested(site.name, trailer)

    assert job.vehicle == trailer
