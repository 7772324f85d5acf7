"""From the request to the diagnosis."""

from collections.abc import Iterable, Iterator

from workshop.domain.bounds import MOST_NET_MINOR, MOST_RETURNED_LINES, MOST_RETURNED_PARTS
from workshop.domain.errors import ComplaintMissing, SiteNotFound, VehicleNotFound
from workshop.domain.job.commands import (
    CheckInVehicle,
    RecordDiagnosis,
    RejectJob,
    RequestJob,
    TriageJob,
)
from workshop.domain.job.events import (
    DiagnosisRecorded,
    JobEvent,
    JobRejected,
    JobRequested,
    JobTriaged,
    ReturnedLine,
    VehicleCheckedIn,
)
from workshop.domain.job.facts import CheckInFacts, DeferredLine, RequestFacts
from workshop.domain.job.state import Job
from workshop.domain.values import DuplicateRule


def request(command: RequestJob, facts: RequestFacts) -> list[JobEvent]:
    if not facts.vehicle_known:
        raise VehicleNotFound("there is no such vehicle", vehicle=f"vehicles/{command.vehicle}")
    if not facts.site_known:
        raise SiteNotFound("there is no such site", site=f"sites/{command.site}")
    return [
        JobRequested(
            number=facts.number,
            site=command.site,
            vehicle=command.vehicle,
            source=command.source,
            requester=command.requester,
            complaint=command.complaint,
            duplicate_key=duplicate_key(command, facts),
            requested_at=command.at,
        )
    ]


def duplicate_key(command: RequestJob, facts: RequestFacts) -> str:
    """What must not be open twice for the vehicle. A job's own id is never open twice."""
    if facts.rule is DuplicateRule.VEHICLE:
        return "vehicle"
    if facts.rule is DuplicateRule.VEHICLE_AND_SYSTEM and command.system_code:
        return command.system_code
    return facts.job


def triage(command: TriageJob, job: Job, facts: None) -> list[JobEvent]:
    return [JobTriaged(command.priority, command.reason)]


def reject(command: RejectJob, job: Job, facts: None) -> list[JobEvent]:
    return [JobRejected(command.note)]


def check_in(command: CheckInVehicle, job: Job, facts: CheckInFacts) -> list[JobEvent]:
    returned = (
        ReturnedLine(
            line=number,
            from_job=deferred.job,
            from_line=deferred.line,
            code=deferred.code,
            labour=deferred.labour,
            parts=deferred.parts,
            fees_minor=deferred.fees_minor,
            certification=deferred.certification,
        )
        for number, deferred in enumerate(_fitting(facts.deferred), start=1)
    )
    return [VehicleCheckedIn(command.odometer, tuple(returned))]


def _fitting(deferred: Iterable[DeferredLine]) -> Iterator[DeferredLine]:
    """The first that fit one event, and the bounds of a job; the others come back another time."""
    lines = parts = fees = 0
    for line in deferred:
        lines, parts, fees = lines + 1, parts + len(line.parts), fees + line.fees_minor
        if lines > MOST_RETURNED_LINES or parts > MOST_RETURNED_PARTS or fees > MOST_NET_MINOR:
            return
        yield line


def record_diagnosis(command: RecordDiagnosis, job: Job, facts: None) -> list[JobEvent]:
    if command.complaint is None and job.complaint is None:
        raise ComplaintMissing("a diagnosis needs a complaint, and the request had none")
    return [DiagnosisRecorded(command.complaint, command.cause, command.correction)]
