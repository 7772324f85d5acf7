"""Messages to commands and events, and states to resources."""

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args
from uuid import UUID

from google.protobuf.message import Message

from assembly.selected import SelectedEvents
from bayline.technician.v1 import technician_pb2 as pb
from bayline.technician.v1 import technician_service_pb2 as service_pb
from bayline.workshop.v1 import events_pb2
from eventstore.mapping import Mapper, OneofCodec
from eventstore.tables import Table
from technician.application.queries import Found, Workload
from technician.application.work import JobEvent
from technician.domain.technician import (
    TECHNICIAN as DECIDER,
)
from technician.domain.technician import (
    Command,
    GrantCertification,
    LeaveCompany,
    MoveTechnician,
    NoTechnician,
    RegisterTechnician,
    RenameTechnician,
    RevokeCertification,
    State,
    Technician,
    TechnicianEvent,
)
from technician.domain.values import SiteId, TechnicianId

Request: TypeAlias = Any  # of the method's own type: the server gives no other

TECHNICIANS, SITES = "technicians/", "sites/"
BESIDE = ("request_id", "occurred_at")
ADDRESSED = (*BESIDE, "name", "etag")

EVENTS: OneofCodec[TechnicianEvent] = OneofCodec(pb.TechnicianEvent, get_args(TechnicianEvent))
JOB_EVENTS: SelectedEvents[JobEvent] = SelectedEvents(events_pb2.JobEvent, get_args(JobEvent))
COMMANDS: Mapping[type[Message], Mapper[Any, Command]] = {
    service_pb.RegisterTechnicianRequest: Mapper(
        service_pb.RegisterTechnicianRequest, RegisterTechnician, ignore=BESIDE
    ),
    service_pb.RenameTechnicianRequest: Mapper(
        service_pb.RenameTechnicianRequest, RenameTechnician, ignore=ADDRESSED
    ),
    service_pb.MoveTechnicianRequest: Mapper(
        service_pb.MoveTechnicianRequest, MoveTechnician, ignore=ADDRESSED
    ),
    service_pb.GrantCertificationRequest: Mapper(
        service_pb.GrantCertificationRequest, GrantCertification, ignore=ADDRESSED
    ),
    service_pb.RevokeCertificationRequest: Mapper(
        service_pb.RevokeCertificationRequest, RevokeCertification, ignore=ADDRESSED
    ),
    service_pb.LeaveCompanyRequest: Mapper(
        service_pb.LeaveCompanyRequest, LeaveCompany, ignore=ADDRESSED
    ),
}
TECHNICIAN = Mapper(pb.Technician, Technician, ignore=("name", "etag", "unread_events"))
WORKLOAD = Mapper(pb.Workload, Workload, ignore=("name",))


def command(request: Request, subject: TechnicianId) -> Command:
    """Words about a person are sealed with that person's key."""
    return COMMANDS[type(request)].from_message(request, subject=TECHNICIANS + subject)


def technician_id(name: str) -> TechnicianId:
    return TechnicianId(name.removeprefix(TECHNICIANS))


def site_id(name: str) -> SiteId | None:
    return SiteId(name.removeprefix(SITES)) if name else None


def resource(found: Found) -> pb.Technician:
    message = TECHNICIAN.to_message(found.technician)
    message.name, message.etag = TECHNICIANS + found.id, str(found.version)
    message.unread_events = found.unread
    return message


def row(stream: UUID, version: int, state: State) -> pb.Technician | None:
    if isinstance(state, NoTechnician):
        return None
    return resource(Found(TechnicianId(str(stream)), version, state))


def workload(technician: TechnicianId, found: Workload) -> pb.Workload:
    message = WORKLOAD.to_message(found)
    message.name = f"{TECHNICIANS}{technician}/workload"
    return message


TABLE = Table(EVENTS, DECIDER, row)
