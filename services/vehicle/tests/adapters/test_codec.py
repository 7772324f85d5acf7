"""Events, commands and resources have a wire form, and keep it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from assembly.selected import IRRELEVANT
from bayline.type.v1 import values_pb2
from bayline.vehicle.v1 import vehicle_pb2
from bayline.vehicle.v1 import vehicle_service_pb2 as pb
from bayline.workshop.v1 import events_pb2, job_pb2
from kernel.money import Money
from kernel.units import Distance, DistanceUnit
from messaging.envelope import Undecodable
from services.vehicle.tests.adapters import released
from testkit.golden import check_golden
from vehicle.adapters import codec
from vehicle.application.history import Visit, VisitState
from vehicle.application.job_events import (
    AdditionalWorkFound,
    Charge,
    EstimateIssued,
    JobCancelled,
    JobClosed,
    JobEvent,
    JobId,
    JobInvoiced,
    JobRejected,
    JobReopened,
    JobRequested,
    LineCompleted,
    MeterCorrected,
    MeterKind,
    QcFailed,
    Task,
    VehicleCheckedIn,
    VehicleReleased,
    WorkCompleted,
)
from vehicle.application.queries import Found
from vehicle.domain.values import SiteId, VehicleId, Vin, VinRegion
from vehicle.domain.vehicle import (
    Change,
    ChangeAssetNumber,
    ChangePlate,
    MoveVehicle,
    RegisterVehicle,
    SellVehicle,
    Vehicle,
    VehicleEvent,
)

GOLDEN = Path(__file__).parent.parent / "golden"
AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
TRUCK, SITE, JOB = VehicleId("truck"), SiteId("berlin"), JobId("job")
MILES = values_pb2.Distance(metres=193_121_280, unit=values_pb2.DISTANCE_UNIT_MILE)
METER = Distance(193_121_280, DistanceUnit.MILE)


def test_every_event_ever_released_is_read_for_ever() -> None:
    assert set(released.VEHICLE_EVENTS) == set(get_args(VehicleEvent))

    check_golden(codec.EVENTS, GOLDEN / "vehicle", released.VEHICLE_EVENTS)


def test_a_registration_is_read_as_it_was_typed() -> None:
    request = pb.RegisterVehicleRequest(
        vin="1m8gdm9axkp042788",
        vin_region=vehicle_pb2.VIN_REGION_NORTH_AMERICA,
        plate="b-fl 1042",
        asset_number="TRK-1042",
        make="MAN",
        model="TGX",
        model_year=2022,
        site="sites/berlin",
        formerly="vehicles/old",
        request_id="key",
    )

    assert codec.REGISTER.from_message(request) == RegisterVehicle(
        "1m8gdm9axkp042788",
        VinRegion.NORTH_AMERICA,
        "b-fl 1042",
        "TRK-1042",
        "MAN",
        "TGX",
        2022,
        SITE,
        VehicleId("old"),
    )


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        (pb.ChangePlateRequest(name="vehicles/truck", plate="P"), ChangePlate("P")),
        (pb.MoveVehicleRequest(name="vehicles/truck", site="sites/berlin"), MoveVehicle(SITE)),
        (pb.ChangeAssetNumberRequest(asset_number="A", etag="3"), ChangeAssetNumber("A")),
        (pb.SellVehicleRequest(name="vehicles/truck", request_id="key"), SellVehicle()),
    ],
)
def test_a_change_is_read_without_what_stands_beside_it(
    request_: codec.ChangeRequest, command: Change
) -> None:
    assert codec.change(request_) == command


def test_a_vehicle_is_shown_with_its_name_and_version() -> None:
    truck = Vehicle(
        vin=Vin("1M8GDM9A1KP042788"),
        vin_region=VinRegion.ELSEWHERE,
        plate="B-FL 1042",
        asset_number="TRK-1042",
        make="MAN",
        model="TGX",
        model_year=2022,
        site=SITE,
        formerly=VehicleId("old"),
        warnings=("VIN_CHECK_DIGIT_WRONG",),
    )

    assert codec.resource(Found(TRUCK, 7, truck)) == vehicle_pb2.Vehicle(
        name="vehicles/truck",
        etag="7",
        vin="1M8GDM9A1KP042788",
        vin_region=vehicle_pb2.VIN_REGION_ELSEWHERE,
        plate="B-FL 1042",
        asset_number="TRK-1042",
        make="MAN",
        model="TGX",
        model_year=2022,
        site="sites/berlin",
        formerly="vehicles/old",
        warnings=["VIN_CHECK_DIGIT_WRONG"],
    )
    homeless = codec.resource(Found(TRUCK, 7, replace(truck, site=None, formerly=None)))
    assert (homeless.site, homeless.formerly) == ("", "")


def test_a_visit_that_has_not_begun_shows_neither_meter_nor_money() -> None:
    message = codec.VISIT.to_message(Visit(JOB, "J-1", VisitState.REQUESTED, AT))

    assert (message.job, message.state) == ("jobs/job", vehicle_pb2.VISIT_STATE_REQUESTED)
    assert not message.HasField("released_at")
    assert not message.HasField("meter_in")
    assert not message.HasField("net")


def test_a_visit_shows_what_was_done_and_what_it_cost() -> None:
    visit = Visit(JOB, "J-1", VisitState.INVOICED, AT, AT, METER, ("013",), Money(14_250, "EUR"))

    message = codec.VISIT.to_message(visit)

    assert message.released_at.ToDatetime(tzinfo=UTC) == AT
    assert (message.meter_in, list(message.codes)) == (MILES, ["013"])
    assert (message.net.minor, message.net.currency) == (14_250, "EUR")


def of_job(case: str, **fields: Any) -> bytes:
    record = events_pb2.JobEvent()
    event = getattr(record, case)
    event.SetInParent()
    event.MergeFrom(type(event)(**fields))
    return record.SerializeToString()


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (
            of_job(
                "job_requested",
                number="J-1",
                site="sites/berlin",
                vehicle="vehicles/truck",
                source=job_pb2.JOB_SOURCE_DRIVER,
                requested_at=AT,
            ),
            JobRequested("J-1", TRUCK, AT),
        ),
        (of_job("job_rejected"), JobRejected()),
        (
            of_job(
                "vehicle_checked_in",
                meter=MILES,
                returned_lines=[events_pb2.ReturnedLine(line=1, from_job="jobs/1", code="013")],
            ),
            VehicleCheckedIn(METER, (Task(1, "013"),)),
        ),
        (
            of_job(
                "estimate_issued",
                currency="EUR",
                lines=[events_pb2.EstimatedLine(line=2, code="017", labour_minor=5)],
            ),
            EstimateIssued((Task(2, "017"),)),
        ),
        (of_job("additional_work_found", line=3, code="002"), AdditionalWorkFound(3, "002")),
        (of_job("line_completed", line=3), LineCompleted(3)),
        (of_job("work_completed", completed_at=Timestamp()), WorkCompleted()),
        (of_job("qc_failed", inspector="user-1", lines=[1, 3]), QcFailed((1, 3))),
        (of_job("vehicle_released", meter=MILES), VehicleReleased()),
        (
            of_job(
                "job_invoiced",
                currency="EUR",
                lines=[job_pb2.InvoiceLine(line=1, labour_minor=5, parts_minor=6, fees_minor=7)],
            ),
            JobInvoiced("EUR", (Charge(5, 6, 7),)),
        ),
        (of_job("job_closed"), JobClosed()),
        (of_job("job_cancelled"), JobCancelled()),
        (of_job("job_reopened", meter=MILES, comeback=True), JobReopened(METER)),
        (
            of_job("meter_corrected", kind=job_pb2.METER_KIND_IN, meter=MILES, visit=1),
            MeterCorrected(MeterKind.IN, METER, 1),
        ),
    ],
)
def test_a_job_is_read_as_far_as_its_history_needs_it(data: bytes, event: JobEvent) -> None:
    assert codec.JOB_EVENTS.decode(data) == event


def test_what_a_history_does_not_need_is_known_and_left_aside() -> None:
    assert codec.JOB_EVENTS.decode(of_job("labour_stopped", labour=1)) is IRRELEVANT


def test_a_case_of_a_newer_release_is_unknown_and_junk_is_undecodable() -> None:
    assert codec.JOB_EVENTS.decode(b"\xfa\x3e\x00") is None
    with pytest.raises(Undecodable):
        codec.JOB_EVENTS.decode(b"\xff")
