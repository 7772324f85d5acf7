"""The parts of the workshop service, and how they are put together."""

from assembly.keys import PeerKeys
from assembly.logs import PeerArrivals, Source
from assembly.service import EventSourced
from bayline.workshop.v1.workshop_service_pb2_grpc import add_WorkshopServiceServicer_to_server
from runtime.service import Service
from workshop.adapters import kafka, tables
from workshop.adapters.facts import PostgresFacts
from workshop.adapters.grpc import Commands, Queries, WorkshopServicer
from workshop.adapters.postgres import PostgresJobList, PostgresSiteList
from workshop.application.commands import JobCommands, SettingsCommands, SiteCommands
from workshop.application.job_facts import JobFactsReader
from workshop.application.policies import CertificationPolicy
from workshop.application.reading import JobReader, SiteReader
from workshop.settings import Settings


async def main(settings: Settings, service: Service) -> None:
    parts = await EventSourced.of(settings, service, PeerKeys.of(service))
    jobs = parts.store(tables.JOBS)
    sites = parts.store(tables.SITES)
    tenants = parts.store(tables.TENANTS)
    fleet = Source(parts.peer("vehicle", kafka.FLEET), kafka.FLEET, kafka.FLEET_FACTS)
    roster = Source(parts.peer("technician", kafka.ROSTER), kafka.ROSTER, kafka.ROSTER_FACTS)

    facts = PostgresFacts(parts.app)
    arrivals = PeerArrivals(parts.app, {"vehicle": fleet, "technician": roster})
    commands = Commands(
        JobCommands(jobs, JobFactsReader(jobs, sites, tenants, facts, arrivals)),
        SiteCommands(sites, service.ids),
        SettingsCommands(tenants),
    )
    queries = Queries(
        JobReader(jobs, parts.words),
        SiteReader(sites, tenants),
        PostgresJobList(parts.app),
        PostgresSiteList(parts.app),
    )
    service.grpc(
        add_WorkshopServiceServicer_to_server,
        WorkshopServicer(commands, queries, service.policies, service.ids),
    )
    parts.serve_logs()
    parts.heed_forgetting()
    parts.project(*kafka.read_models(jobs))
    certifications = CertificationPolicy(commands.jobs, facts, facts, service.clock)
    parts.react(kafka.certifications(parts.projector, certifications))
