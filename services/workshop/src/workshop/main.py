"""The parts of the workshop service, and how they are put together."""

from typing import TypeVar

from bayline.event.v1.event_log_service_pb2_grpc import add_EventLogServiceServicer_to_server
from bayline.workshop.v1.workshop_service_pb2_grpc import add_WorkshopServiceServicer_to_server
from eventstore.keyring import PostgresKeyring
from eventstore.mapping import OneofCodec
from eventstore.postgres import PostgresEventStore
from eventstore.reading import LogReader
from eventstore.sealing import Sealing
from eventstore.servicer import EventLogServicer
from eventstore.tail import PostgresTail
from messaging.consumer import Consumer
from messaging.kafka import KafkaPublisher
from messaging.relay import Relay
from runtime.service import Service
from workshop.adapters import kafka
from workshop.adapters.clients import Logs, OwnLog, PeerArrivals, PeerLog, Source
from workshop.adapters.codec import JOB_EVENTS, SITE_EVENTS, TENANT_EVENTS
from workshop.adapters.facts import PostgresFacts
from workshop.adapters.grpc import Commands, Queries, WorkshopServicer
from workshop.adapters.postgres import PostgresJobList, PostgresSiteList
from workshop.application.commands import JobCommands, SettingsCommands, SiteCommands
from workshop.application.job_facts import JobFactsReader
from workshop.application.policies import CertificationPolicy
from workshop.application.reading import JobReader, SiteReader
from workshop.settings import Settings

E = TypeVar("E")


async def main(settings: Settings, service: Service) -> None:
    database = settings.database
    app = await service.pool(database.app_dsn, "database")
    projector = await service.pool(database.projector_dsn, "projections")
    relay = await service.pool(database.relay_dsn, "relay")
    keyring = await service.pool(settings.keyring.dsn, "keyring")
    words = Sealing(PostgresKeyring(keyring, settings.keyring.kek.get_secret_value()))

    def store(codec: OneofCodec[E]) -> PostgresEventStore[E]:
        published = Relay(PostgresTail(relay, codec.log), KafkaPublisher(settings.kafka))
        service.run(published)
        return PostgresEventStore(app, codec, words, log=codec.log, appended=published.poke)

    jobs, sites, tenants = store(JOB_EVENTS), store(SITE_EVENTS), store(TENANT_EVENTS)
    fleet, roster = PeerLog(service.peer("vehicle")), PeerLog(service.peer("technician"))
    own = OwnLog(LogReader(relay))
    facts = PostgresFacts(app)
    arrivals = PeerArrivals(
        app,
        {
            "vehicle": Source(fleet, kafka.FLEET, "workshop.fleet"),
            "technician": Source(roster, kafka.ROSTER, "workshop.roster"),
        },
    )
    commands = Commands(
        JobCommands(jobs, JobFactsReader(jobs, sites, tenants, facts, arrivals)),
        SiteCommands(sites, service.ids),
        SettingsCommands(tenants),
    )
    queries = Queries(
        JobReader(jobs, words),
        SiteReader(sites, tenants),
        PostgresJobList(app),
        PostgresSiteList(app),
    )
    service.grpc(
        add_WorkshopServiceServicer_to_server,
        WorkshopServicer(commands, queries, service.policies, service.ids),
    )
    logs = {jobs.log: own, sites.log: own, tenants.log: own}
    service.grpc(add_EventLogServiceServicer_to_server, EventLogServicer(relay, logs))

    certifications = CertificationPolicy(commands.jobs, facts, facts, service.clock)
    read_models = kafka.read_models(jobs)
    for subscription in read_models:
        service.waits(subscription.waits(app))
    for subscription in [*read_models, kafka.policies(projector, certifications)]:
        service.run(
            Consumer(
                settings.kafka,
                projector,
                name=subscription.projection.name,
                topics=subscription.topics,
                projection=subscription.projection,
                backfill=Logs({**logs, kafka.FLEET: fleet, kafka.ROSTER: roster}),
            )
        )
