"""The parts of the technician service, and how they are put together."""

from assembly.keys import PeerKeys
from assembly.service import EventSourced, Subscription
from bayline.technician.v1.technician_service_pb2_grpc import (
    add_TechnicianServiceServicer_to_server,
)
from runtime.service import Service
from technician.adapters import codec
from technician.adapters.grpc import TechnicianServicer
from technician.adapters.postgres import PostgresRoster, PostgresWorkloads
from technician.adapters.projections import Roster, workloads
from technician.application.commands import TechnicianCommands
from technician.application.queries import TechnicianQueries
from technician.settings import Settings


async def main(settings: Settings, service: Service) -> None:
    parts = await EventSourced.of(settings, service, PeerKeys.of(service))
    store = parts.store(codec.TABLE)
    parts.peer("workshop", codec.JOB_EVENTS.log)
    queries = TechnicianQueries(
        store, parts.words, PostgresRoster(parts.app), PostgresWorkloads(parts.app)
    )
    service.grpc(
        add_TechnicianServiceServicer_to_server,
        TechnicianServicer(
            TechnicianCommands(store), queries, service.policies, service.ids, service.clock
        ),
    )
    parts.serve_logs()
    parts.heed_forgetting()
    parts.project(
        Subscription([codec.EVENTS.log], Roster()),
        Subscription([codec.JOB_EVENTS.log], workloads()),
    )
