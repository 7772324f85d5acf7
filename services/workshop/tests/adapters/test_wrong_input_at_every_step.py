"""Whatever is wrong is said by a typed refusal, and nothing is stored."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bayline.workshop.v1 import job_pb2

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration

NOBODY = "00000000-0000-7000-8000-000000000000"
NOTHING: dict[str, Any] = {}
PADS: dict[str, Any] = {"code": "013", "description": "Pads"}
S = timedelta(seconds=1)


async def test_what_a_state_does_not_allow_is_refused_with_what_it_allows(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.requested(site.name)
    bay, technician = site.bays[0].name, await shop.technician()
    slot = {"start": shop.now(), "end": shop.now() + timedelta(hours=1)}
    too_early: dict[str, dict[str, Any]] = {
        "CheckInVehicle": {"odometer": shop.reading(1)},
        "RecordDiagnosis": {"cause": "Worn"},
        "IssueEstimate": {"lines": [job_pb2.LineEstimate(code="013", description="Pads")]},
        "ApproveLines": {"lines": [1], "estimate_version": 1},
        "DeclineLines": {"lines": [1], "estimate_version": 1},
        "DeferLines": {"lines": [1], "estimate_version": 1},
        "ConfirmParts": NOTHING,
        "ReportPartsShort": {"lines": [1]},
        "AssignTechnician": {"technician": technician},
        "PromiseCompletion": {"promised_at": shop.now()},
        "BookBay": {"bay": bay, "slot": slot},
        "RescheduleBay": {"bay": bay, "slot": slot},
        "ReleaseBay": NOTHING,
        "StartWork": {
            "technician": technician,
            "bay": bay,
            "planned_end": shop.now() + timedelta(hours=1),
        },
        "StartLabour": {"technician": technician},
        "StopLabour": {"technician": technician},
        "CorrectLabour": {
            "labour": 1,
            "started_at": shop.now(),
            "stopped_at": shop.now(),
            "reason": "Forgot",
        },
        "LeaveBay": NOTHING,
        "HoldJob": {"reason": job_pb2.HOLD_REASON_PARTS},
        "ResumeJob": NOTHING,
        "ReportAdditionalWork": {"code": "013", "description": "Disc"},
        "CompleteLine": {"line": 1},
        "CompleteWork": NOTHING,
        "PassQc": NOTHING,
        "FailQc": {"lines": [1], "note": "Rattles"},
        "ReleaseVehicle": {"odometer": shop.reading(1)},
        "InvoiceJob": NOTHING,
        "CloseJob": NOTHING,
        "ReopenJob": {"note": "Again", "odometer": shop.reading(1)},
        "CorrectMeter": {"kind": 1, "odometer": shop.reading(1), "reason": "Typo"},
    }

    for rpc, fields in too_early.items():
        problem = await shop.refusal(rpc, name=job.name, **fields)
        assert (rpc, problem.reason) == (rpc, "JOB_STATE_FORBIDS")
        assert problem.facts["state"] == "REQUESTED"
        assert problem.facts["allowed"] == "triage,reject,cancel"
    assert await shop.events(job) == 1


@pytest.mark.parametrize(
    ("rpc", "fields", "pointer"),
    [
        ("TriageJob", {"priority": 1}, "/reason"),
        ("TriageJob", {"priority": 99, "reason": 1}, "/priority"),
        ("RejectJob", {}, "/note"),
        ("CheckInVehicle", {}, "/odometer"),
        ("CheckInVehicle", {"odometer": {"value": "12x", "unit": 1}}, "/odometer/value"),
        ("IssueEstimate", {"lines": []}, "/lines"),
        ("IssueEstimate", {"lines": [{"code": "brakes", "description": "x"}]}, "/lines/0/code"),
        ("IssueEstimate", {"lines": [{**PADS, "labour": -3_780_000 * S}]}, "/lines/0/labour"),
        ("IssueEstimate", {"lines": [{**PADS, "labour": 3_600_001 * S}]}, "/lines/0/labour"),
        ("ApproveLines", {"lines": [0], "estimate_version": 1}, "/lines/0"),
        ("AssignTechnician", {"technician": "somebody"}, "/technician"),
        ("BookBay", {"bay": "bays/1"}, "/bay"),
        ("HoldJob", {}, "/reason"),
        ("CancelJob", {"note": ""}, "/note"),
        ("CancelJob", {"note": "x", "etag": "latest"}, "/etag"),
        ("CancelJob", {"note": "x", "request_id": ""}, "/requestId"),
    ],
)
async def test_a_wrong_field_is_pointed_at(
    shop: "Shop", rpc: str, fields: dict[str, Any], pointer: str
) -> None:
    job = await shop.requested((await shop.site()).name)

    problem = await shop.refusal(rpc, name=job.name, **fields)

    assert pointer in {violation.pointer for violation in problem.violations}
    assert await shop.events(job) == 1


async def test_what_is_not_there_is_not_found(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.ready(site.name)
    technician = await shop.technician()
    events = await shop.events(job)

    nowhere = await shop.refusal("PassQc", name=f"jobs/{NOBODY}")
    no_site = await shop.refusal(
        "RequestJob",
        site=f"sites/{NOBODY}",
        vehicle=await shop.vehicle(),
        source=job_pb2.JOB_SOURCE_STAFF,
        complaint="Brakes",
    )
    no_bay = await shop.refusal(
        "StartWork",
        name=job.name,
        technician=technician,
        bay=f"bays/{NOBODY}",
        planned_end=shop.now() + timedelta(hours=1),
    )

    reasons = [problem.reason for problem in (nowhere, no_site, no_bay)]
    assert reasons == ["JOB_NOT_FOUND", "SITE_NOT_FOUND", "BAY_NOT_FOUND"]
    assert await shop.events(job) == events


async def test_a_vehicle_that_may_still_arrive_is_asked_for_again(shop: "Shop") -> None:
    """The vehicle service does not answer here, so nobody knows whether it is on its way."""
    site = await shop.site()

    problem = await shop.refusal(
        "RequestJob",
        site=site.name,
        vehicle=f"vehicles/{NOBODY}",
        source=job_pb2.JOB_SOURCE_STAFF,
        complaint="Brakes",
    )

    assert problem.kind.__name__ == "Unavailable"


async def test_an_uncertified_technician_does_not_start(shop: "Shop") -> None:
    site = await shop.site()
    job = await shop.ready(site.name, certification="BRAKES")
    events = await shop.events(job)

    problem = await shop.refusal(
        "StartWork",
        name=job.name,
        technician=await shop.technician("TYRES"),
        bay=site.bays[0].name,
        planned_end=shop.now() + timedelta(hours=1),
    )

    assert problem.reason == "TECHNICIAN_NOT_CERTIFIED"
    assert await shop.events(job) == events


async def test_an_approver_stays_below_the_limit_of_his_or_her_roles(shop: "Shop") -> None:
    site = await shop.site()
    await shop.ask(
        "SetApprovalLimits",
        by="admin",
        approval_limits=[
            {"role": "service_manager", "limit_minor": 10_000, "currency": "EUR"},
            {"role": "fleet_manager", "limit_minor": -1},
        ],
    )
    job = await shop.planned(site.name)
    job = await shop.step(job, "CheckInVehicle", odometer=shop.reading(1))
    job = await shop.step(job, "RecordDiagnosis", cause="Worn")
    line = job_pb2.LineEstimate(code="013", description="Pads", fees_minor=10_001)
    job = await shop.step(job, "IssueEstimate", lines=[line])

    refused = await shop.refusal("ApproveLines", name=job.name, lines=[1], estimate_version=1)
    approved = await shop.step(
        job, "ApproveLines", lines=[1], estimate_version=1, by="fleet_manager"
    )

    assert refused.reason == "APPROVAL_LIMIT_EXCEEDED"
    assert approved.state == job_pb2.JOB_STATE_READY


async def test_the_future_is_not_told(shop: "Shop") -> None:
    job = await shop.requested((await shop.site()).name)

    problem = await shop.refusal(
        "CancelJob", name=job.name, note="Sold", occurred_at=shop.now() + timedelta(minutes=6)
    )

    assert problem.reason == "OCCURRED_IN_THE_FUTURE"
    assert await shop.events(job) == 1
