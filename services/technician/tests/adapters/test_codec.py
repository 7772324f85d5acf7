# mypy: disable-error-code="arg-type,var-annotated"
"""Events, commands and resources have a wire form, and keep it."""

from datetime import timedelta
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from google.protobuf.message import Message

from assembly.selected import IRRELEVANT
from bayline.technician.v1 import technician_pb2
from bayline.technician.v1 import technician_service_pb2 as pb
from bayline.workshop.v1 import events_pb2
from kernel.personal import ERASED, Personal
from messaging.envelope import Undecodable
from services.technician.tests.adapters import released
from services.technician.tests.adapters.released import AT, LATER, SITE, SUBJECT
from technician.adapters import codec
from technician.adapters.projections import Roster
from technician.application.queries import Found, JobId, Workload
from technician.application.work import LabourStarted, TechnicianAssigned
from technician.domain.technician import (
    Command,
    GrantCertification,
    LeaveCompany,
    MoveTechnician,
    RegisterTechnician,
    RenameTechnician,
    RevokeCertification,
    Technician,
    TechnicianEvent,
    TechnicianRegistered,
)
from technician.domain.values import Certification, TechnicianId
from testkit.golden import check_golden
from testkit.topics import WrittenLog

GOLDEN = Path(__file__).parent.parent / "golden"
ADA = TechnicianId(SUBJECT.removeprefix("technicians/"))
JOB = JobId("0190a5d2-7c1e-7b3a-9f00-000000000001")


def test_every_event_ever_released_is_read_for_ever() -> None:
    assert set(released.EVENTS) == set(get_args(TechnicianEvent))

    check_golden(codec.EVENTS, GOLDEN, released.EVENTS)


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        (
            pb.RegisterTechnicianRequest(
                display_name="Ada", site=f"sites/{SITE}", personnel_number="T-0042"
            ),
            RegisterTechnician(Personal(SUBJECT, "Ada"), SITE, "T-0042"),
        ),
        (
            pb.RenameTechnicianRequest(name=SUBJECT, display_name="Ada K.", etag="3"),
            RenameTechnician(Personal(SUBJECT, "Ada K.")),
        ),
        (pb.MoveTechnicianRequest(name=SUBJECT, site=f"sites/{SITE}"), MoveTechnician(SITE)),
        (
            pb.GrantCertificationRequest(
                name=SUBJECT, code="BRAKES", valid_from=AT, expires_at=LATER
            ),
            GrantCertification("BRAKES", AT, LATER),
        ),
        (
            pb.GrantCertificationRequest(name=SUBJECT, code="HV", valid_from=AT),
            GrantCertification("HV", AT),
        ),
        (
            pb.RevokeCertificationRequest(name=SUBJECT, code="HV", reason="Why", revoked_at=AT),
            RevokeCertification("HV", Personal(SUBJECT, "Why"), AT),
        ),
        (
            pb.RevokeCertificationRequest(name=SUBJECT, code="HV", reason="Why"),
            RevokeCertification("HV", Personal(SUBJECT, "Why")),
        ),
        (pb.LeaveCompanyRequest(name=SUBJECT, request_id="key"), LeaveCompany()),
    ],
)
def test_what_is_said_of_a_person_is_sealed_with_that_persons_key(
    request_: Message, command: Command
) -> None:
    assert codec.command(request_, ADA) == command


def test_a_technician_is_shown_with_every_certification_ever_held() -> None:
    held = (Certification("BRAKES", AT, LATER, AT + timedelta(days=1)), Certification("HV", AT))
    ada = Technician(Personal(SUBJECT, "Ada"), SITE, "T-0042", held, active=False)

    message = codec.resource(Found(ADA, 7, ada))

    assert message == technician_pb2.Technician(
        name=SUBJECT,
        etag="7",
        display_name="Ada",
        site=f"sites/{SITE}",
        personnel_number="T-0042",
        certifications=[
            technician_pb2.Certification(
                code="BRAKES", valid_from=AT, expires_at=LATER, revoked_at=AT + timedelta(days=1)
            ),
            technician_pb2.Certification(code="HV", valid_from=AT),
        ],
        active=False,
    )


def test_a_name_that_was_forgotten_shows_as_erased() -> None:
    message = codec.resource(Found(ADA, 1, Technician(Personal(SUBJECT), SITE, "T-0042")))

    assert message.display_name == ERASED


def test_a_workload_says_since_when_the_clock_runs_if_it_does() -> None:
    running = codec.workload(ADA, Workload(2, JOB, AT, timedelta(minutes=90), 1))
    resting = codec.workload(ADA, Workload(0, None, None, timedelta(), 0))

    assert running == technician_pb2.Workload(
        name=f"{SUBJECT}/workload",
        assigned_jobs=2,
        clocked_on=f"jobs/{JOB}",
        clocked_since=AT,
        worked=timedelta(minutes=90),
        completed_jobs=1,
    )
    assert resting == technician_pb2.Workload(name=f"{SUBJECT}/workload", worked=timedelta())


def test_job_events_are_read_as_far_as_they_are_of_use() -> None:
    started = events_pb2.LabourStarted(labour=2, technician=SUBJECT, line=1, started_at=AT)
    nobody = events_pb2.TechnicianAssigned()
    booked = events_pb2.BayBooked(bay="bays/1")

    read = [
        codec.JOB_EVENTS.decode(record.SerializeToString())
        for record in (
            events_pb2.JobEvent(labour_started=started),
            events_pb2.JobEvent(technician_assigned=nobody),
            events_pb2.JobEvent(bay_booked=booked),
        )
    ]

    assert read == [LabourStarted(ADA, 2, AT), TechnicianAssigned(None), IRRELEVANT]


def test_a_case_of_a_newer_release_is_unknown_and_junk_is_undecodable() -> None:
    newer = technician_pb2.TechnicianEvent()
    newer.MergeFromString(b"\xfa\x3e\x00")
    log, roster = WrittenLog(codec.EVENTS.log), Roster()
    stream = UUID(ADA)

    known = codec.EVENTS.encode(released.EVENTS[TechnicianRegistered][0]).SerializeToString()
    registered = roster.decode(log.append(stream, known))
    praised = roster.decode(log.append(stream, newer.SerializeToString()))

    assert registered == released.EVENTS[TechnicianRegistered][0]
    assert praised is None
    with pytest.raises(Undecodable):
        roster.decode(log.append(stream, b"\xff"))
