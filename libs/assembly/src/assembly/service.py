"""What every event-sourced service puts together: pools, stores with relays, consumers."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from assembly import forgetting
from assembly.forgetting import Forgetting
from assembly.logs import Logs, OwnLog, PeerLog
from bayline.event.v1.event_log_service_pb2_grpc import add_EventLogServiceServicer_to_server
from eventstore.keyring import SubjectKeys
from eventstore.postgres import PostgresEventStore
from eventstore.reading import LogReader
from eventstore.sealing import Sealing
from eventstore.servicer import EventLogServicer
from eventstore.tables import Table
from eventstore.tail import PostgresTail
from messaging.consumer import Consumer
from messaging.dlq import DlqRelay
from messaging.kafka import KafkaPublisher
from messaging.parking import Projection
from messaging.positions import covered
from messaging.relay import Relay
from messaging.subject import Backfill
from runtime.database import REPEATABLE, Pool
from runtime.positions import Place
from runtime.service import Service
from runtime.settings import StoringSettings

REACTION_SECONDS = 0.25

E = TypeVar("E")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which topics a projection folds."""

    topics: Sequence[str]
    projection: Projection


@dataclass(slots=True)
class EventSourced:
    """A `Service` with a log of its own. Own logs and peers' are known before `project`."""

    settings: StoringSettings
    service: Service
    app: Pool
    projector: Pool
    relay: Pool
    words: Sealing
    logs: dict[str, Backfill] = field(default_factory=dict)
    kept: list[Table[Any, Any]] = field(default_factory=list)

    @classmethod
    async def of(cls, settings: StoringSettings, service: Service, keys: SubjectKeys) -> Self:
        database = settings.database
        app = await service.pool(database.app_dsn, "database")
        projector = await service.pool(database.projector_dsn, "projections", limits=REPEATABLE)
        relay = await service.pool(database.relay_dsn, "relay", limits=REPEATABLE)
        service.run(DlqRelay(projector, settings.kafka))
        return cls(settings, service, app, projector, relay, Sealing(keys))

    def store(self, table: Table[S, E]) -> PostgresEventStore[E]:
        """The store of one log, relayed to its topic as soon as it is appended to."""
        codec = table.codec
        relay = Relay(PostgresTail(self.relay, codec.log), KafkaPublisher(self.settings.kafka))
        self.service.run(relay)
        self.kept.append(table)
        self.logs[codec.log] = OwnLog(LogReader(self.relay))
        return PostgresEventStore(self.app, codec, self.words, log=codec.log, appended=relay.poke)

    def peer(self, name: str, *logs: str) -> PeerLog:
        """Another service, and the logs it keeps."""
        peer = PeerLog(self.service.peer(name))
        self.logs |= dict.fromkeys(logs, peer)
        return peer

    def serve_logs(self) -> None:
        """To peers, for backfill and streams."""
        servicer = EventLogServicer(self.relay, self.kept)
        self.service.grpc(add_EventLogServiceServicer_to_server, servicer)

    def heed_forgetting(self) -> None:
        """No key of a forgotten subject is kept here any longer than the news of it takes."""
        self.peer("keyring", forgetting.EVENTS.log)
        name = f"{self.settings.service()}.forgotten"
        self.react(Subscription([forgetting.EVENTS.log], Forgetting(name, self.words)))

    def project(self, *subscriptions: Subscription) -> None:
        """Read models: callers may wait until they have come to what they saw."""
        for subscription in subscriptions:
            self.service.waits(_wait(self.app, subscription))
            self._consume(subscription)

    def react(self, subscription: Subscription) -> None:
        """A policy: nobody waits for it."""
        self._consume(subscription, pace=REACTION_SECONDS)

    def _consume(self, subscription: Subscription, pace: float = 0.0) -> None:
        self.service.run(
            Consumer(
                self.settings.kafka,
                self.projector,
                name=subscription.projection.name,
                topics=subscription.topics,
                projection=subscription.projection,
                backfill=Logs(self.logs),
                pace=pace,
            )
        )


def _wait(
    pool: Pool, subscription: Subscription
) -> Callable[[Sequence[Place], float], Awaitable[bool]]:
    """For what a caller has seen of these topics; `deadline` is of the loop's clock."""

    async def wait(places: Sequence[Place], deadline: float) -> bool:
        ours = [place for place in places if place.log in subscription.topics]
        return not ours or await covered(pool, subscription.projection.name, ours, deadline)

    return wait
