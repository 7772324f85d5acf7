from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NewType

import pytest

from assembly.selected import IRRELEVANT, SelectedEvents
from bayline.workshop.v1 import events_pb2
from eventstore.conversion import MappingMismatch
from messaging.envelope import Undecodable

JobId = NewType("JobId", str)
AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LabourStopped:
    stopped_at: datetime


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    line: int
    from_job: JobId
    labour: timedelta


@dataclass(frozen=True, slots=True)
class VehicleCheckedIn:
    returned_lines: tuple[ReturnedLine, ...]


EVENTS: SelectedEvents[LabourStopped | VehicleCheckedIn] = SelectedEvents(
    events_pb2.JobEvent, [LabourStopped, VehicleCheckedIn]
)


def bytes_of(**event: object) -> bytes:
    return events_pb2.JobEvent(**event).SerializeToString()  # type: ignore[arg-type]  # one case


def test_the_log_is_named_like_its_record() -> None:
    assert EVENTS.log == "bayline.workshop.v1.JobEvent"


def test_of_an_event_only_what_is_of_use_is_read() -> None:
    stopped = events_pb2.LabourStopped(labour=3)
    stopped.stopped_at.FromDatetime(AT)

    assert EVENTS.decode(bytes_of(labour_stopped=stopped)) == LabourStopped(AT)


def test_of_what_is_within_an_event_only_what_is_of_use_is_read() -> None:
    line = events_pb2.ReturnedLine(line=1, from_job="jobs/one", from_line=2, code="013")
    line.labour.FromTimedelta(timedelta(hours=1))
    arrived = events_pb2.VehicleCheckedIn(returned_lines=[line])

    read = EVENTS.decode(bytes_of(vehicle_checked_in=arrived))

    assert read == VehicleCheckedIn((ReturnedLine(1, JobId("one"), timedelta(hours=1)),))


def test_what_is_known_and_of_no_use_is_not_what_is_unknown() -> None:
    newer = events_pb2.JobEvent()
    newer.MergeFromString(b"\xfa\x3e\x00")

    assert EVENTS.decode(bytes_of(work_completed=events_pb2.WorkCompleted())) is IRRELEVANT
    assert EVENTS.decode(newer.SerializeToString()) is None


def test_bytes_that_are_no_record_are_undecodable() -> None:
    with pytest.raises(Undecodable):
        EVENTS.decode(b"\xff")


def test_a_field_that_the_message_does_not_have_is_found_at_start() -> None:
    @dataclass(frozen=True, slots=True)
    class LabourStarted:
        labour: int
        colour: str

    with pytest.raises(MappingMismatch):
        SelectedEvents(events_pb2.JobEvent, [LabourStarted])
