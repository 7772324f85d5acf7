"""Events, commands and resources have a wire form, and keep it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from google.api import annotations_pb2 as http

from bayline.type.v1 import values_pb2
from bayline.vehicle.v1 import vehicle_pb2
from bayline.workshop.v1 import events_pb2, job_pb2
from bayline.workshop.v1 import workshop_service_pb2 as pb
from eventstore.store import Metadata
from kernel.errors import InvalidArgument
from kernel.personal import ERASED, Personal
from kernel.units import Distance, DistanceUnit
from messaging.envelope import Undecodable
from runtime.identity import Caller
from services.workshop.tests.adapters import released
from testkit.golden import check_golden
from workshop.adapters import codec
from workshop.adapters.permission import ACTIONS
from workshop.application.facts import VehicleRegistered
from workshop.application.ports import Known
from workshop.domain.job import commands
from workshop.domain.job.events import JobEvent
from workshop.domain.job.state import Job, Line
from workshop.domain.job.values import JobSource, LineState
from workshop.domain.site import SiteEvent
from workshop.domain.tenant import TenantEvent
from workshop.domain.values import JobId, TechnicianId

GOLDEN = Path(__file__).parent.parent / "golden"
SERVICE = pb.DESCRIPTOR.services_by_name["WorkshopService"]
JOB = JobId("0190a5d2-7c1e-7b3a-9f00-000000000001")
ANNA = TechnicianId("anna")
AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


INSPECTOR = Caller(
    "inspector-1", "acme", roles=frozenset(), sites=frozenset(), technician=str(ANNA)
)
METADATA = Metadata(
    tenant="acme",
    actor="inspector-1",
    request_id="key",
    fingerprint=b"",
    correlation_id="",
    causation_id="",
    occurred_at=AT,
)


def test_every_event_ever_released_is_read_for_ever() -> None:
    assert set(released.JOB_EVENTS) == set(get_args(JobEvent))
    assert set(released.SITE_EVENTS) == set(get_args(SiteEvent))
    assert set(released.TENANT_EVENTS) == set(get_args(TenantEvent))

    check_golden(codec.JOB_EVENTS, GOLDEN / "job", released.JOB_EVENTS)
    check_golden(codec.SITE_EVENTS, GOLDEN / "site", released.SITE_EVENTS)
    check_golden(codec.TENANT_EVENTS, GOLDEN / "tenant", released.TENANT_EVENTS)


def test_every_verb_of_a_job_is_the_one_of_its_rpc() -> None:
    """What `allowedActions` says can be asked for under that name."""
    for verb, action in ACTIONS.items():
        method = SERVICE.methods_by_name[action.partition("/")[2]]
        path = method.GetOptions().Extensions[http.http].post
        assert path == "/v1/{name=jobs/*}:" + verb


def test_an_inspection_names_who_inspects() -> None:
    request = pb.FailQcRequest(name=f"jobs/{JOB}", lines=[1], note="Rattles")

    command = codec.Command(commands.FailQc).read(
        request, INSPECTOR, METADATA, subject=f"jobs/{JOB}"
    )

    assert command == commands.FailQc(
        lines=(1,),
        note=Personal(f"jobs/{JOB}", "Rattles"),
        inspector="inspector-1",
        inspector_technician=ANNA,
    )


def test_a_reading_is_taken_in_its_own_unit() -> None:
    request = pb.CheckInVehicleRequest(
        odometer=values_pb2.Reading(value="120000.5", unit=values_pb2.DISTANCE_UNIT_MILE)
    )

    command = codec.Command(commands.CheckInVehicle).read(request, INSPECTOR, METADATA)

    assert command.odometer == Distance(193_122_085, DistanceUnit.MILE)


def test_words_that_were_not_said_are_none() -> None:
    command = codec.Command(commands.RecordDiagnosis).read(
        pb.RecordDiagnosisRequest(cause="Worn"), INSPECTOR, METADATA, subject="jobs/1"
    )

    assert command == commands.RecordDiagnosis(None, Personal("jobs/1", "Worn"), None)


def test_a_number_that_is_no_value_of_an_enum_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidArgument) as refused:
        codec.Command(commands.TriageJob).read(
            pb.TriageJobRequest(priority=job_pb2.PRIORITY_SCHEDULED), INSPECTOR, METADATA
        )

    assert [each.pointer for each in refused.value.violations] == ["/reason"]


def test_a_line_without_a_price_shows_none_and_where_it_came_from() -> None:
    line = Line(
        line=1,
        state=LineState.PROPOSED,
        code="013",
        description=Personal("jobs/1"),
        labour=released.LABOUR,
        parts=(),
        fees_minor=0,
        certification="",
        visit=1,
        from_job=JOB,
        from_line=2,
    )
    job = Job(
        number="J-1",
        site=released.SITE,
        vehicle=released.VEHICLE,
        source=JobSource.PM,
        requester="pm",
        complaint=None,
        duplicate_key="",
        requested_at=AT,
        currency="EUR",
        lines=(line, replace(line, line=2, from_job=None, priced=True, labour_minor=5)),
    )

    returned, priced = codec.job_message(JOB, Known(job, 3)).lines

    assert returned.description == ERASED
    assert returned.returned_from == f"jobs/{JOB}/lines/2"
    assert not returned.HasField("net")
    assert (priced.net.minor, priced.net.currency, priced.returned_from) == (5, "EUR", "")


def test_events_of_others_are_read_as_far_as_they_are_of_use() -> None:
    registered = vehicle_pb2.VehicleRegistered(vin="VIN", plate="B-AY 1", make="MAN")
    record = vehicle_pb2.VehicleEvent(vehicle_registered=registered)

    assert codec.FLEET_EVENTS.decode(record.SerializeToString()) == VehicleRegistered(
        "VIN", "B-AY 1"
    )


def test_a_case_of_a_newer_release_is_unknown_and_junk_is_undecodable() -> None:
    newer = events_pb2.JobEvent()
    newer.MergeFromString(b"\xfa\x3e\x00")

    assert codec.job_event("bayline.workshop.v1.JobPraised", newer.SerializeToString(), 1) is None
    planned = events_pb2.JobEvent()
    planned.job_triaged.reason = job_pb2.REPAIR_REASON_BREAKDOWN
    planned.job_triaged.priority = 99  # type: ignore[assignment]  # a value of a newer release
    assert codec.job_event("bayline.workshop.v1.JobTriaged", planned.SerializeToString(), 1) is None
    with pytest.raises(Undecodable):
        codec.job_event("bayline.workshop.v1.JobRequested", b"\xff", 1)
