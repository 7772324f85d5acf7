"""A service in the test's own process: real gRPC, real PostgreSQL, and nothing of Kafka."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiokafka import TopicPartition
from google.protobuf.message import Message
from psycopg_pool import AsyncConnectionPool

from devstack.databases import Database
from eventstore.chain import SHARDS
from eventstore.reading import LogReader
from messaging.cursor import Batch, load
from messaging.effects import Effects
from messaging.envelope import PARTITIONS, Envelope, envelope_from
from messaging.generations import aim, schemas_of
from messaging.parking import Projection
from messaging.status import register
from runtime.service import Service
from runtime.settings import StoringSettings
from runtime.supervision import Task
from testkit.tokens import Issuer

SettingsT = TypeVar("SettingsT", bound=StoringSettings)
M = TypeVar("M", bound=Message)

KEY = base64.b64encode(bytes(range(32))).decode()
HOST = "127.0.0.1"


class WithoutKafka(Service):
    """What would run beside the calls is left out: `Feed` plays the part of relay and consumers."""

    def run(self, task: Task) -> None:
        return None


@asynccontextmanager
async def serving(
    main: Callable[[SettingsT, Service], Awaitable[None]],
    settings: SettingsT,
    kind: type[Service] = WithoutKafka,
) -> AsyncIterator[Service]:
    """With `kind=Service` all of it runs, and Kafka must be there."""
    async with kind(settings) as service:
        await main(settings, service)
        await service.start()
        yield service


def settings_for(
    kind: type[SettingsT],
    database: Database,
    issuer: Issuer,
    jwks_url: str,
    peers: Sequence[str] = (),
    **own: Any,
) -> SettingsT:
    """Free ports; peers that nobody answers for; `own` is what no other service needs."""
    identity = issuer.settings(jwks_url)
    return kind(
        admin={"port": 0},
        identity=identity.model_dump(),
        workload={
            "token_url": f"http://{HOST}:1",
            "client_id": database.service,
            "client_secret": "x",
        },
        cursor_key=KEY,
        fingerprint_key=KEY,
        peers=dict.fromkeys(peers, f"{HOST}:1"),
        database={
            "app_dsn": database.app_dsn,
            "projector_dsn": database.projector_dsn,
            "relay_dsn": database.relay_dsn,
        },
        kafka={"bootstrap": f"{HOST}:1"},
        grpc={"port": 0},
        **own,
    )


@dataclass(frozen=True, slots=True)
class Reply(Generic[M]):
    """An answer, and what its trailing metadata says."""

    message: M
    metadata: Mapping[str, str]

    @property
    def version(self) -> int:
        return int(self.metadata["bayline-version"])

    @property
    def position(self) -> str:
        return self.metadata["bayline-position"]

    @property
    def replayed(self) -> bool:
        return self.metadata.get("bayline-replayed") == "true"


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody with a token."""

    token: str

    async def ask(
        self,
        method: Callable[..., Any],
        request: Message,
        **metadata: str,
    ) -> Reply[Any]:
        """`after="..."` stands for the metadata `bayline-after`."""
        sent = [("authorization", f"Bearer {self.token}")]
        sent += [(f"bayline-{name}", value) for name, value in metadata.items()]
        call = method(request, metadata=sent)
        message = await call
        trailing = await call.trailing_metadata()
        return Reply(message, {key: value for key, value in trailing if isinstance(value, str)})


async def learn(
    projector: AsyncConnectionPool[Any],
    projection: Projection,
    batch: Sequence[tuple[Envelope, Any]],
) -> None:
    """Past any cursor, in one transaction: the same events may come again."""
    async with projector.connection() as connection, connection.transaction():
        (schema,) = await schemas_of(connection, projection.name)
        await aim(connection, schema)
        await projection.apply(connection, batch)


class Feed:
    """Brings what the store has to projections, as a consumer would: each once, cursors and all."""

    def __init__(
        self,
        relay: AsyncConnectionPool[Any],
        projector: AsyncConnectionPool[Any],
        subscriptions: Sequence[tuple[Sequence[str], Projection]],
    ) -> None:
        self._reader = LogReader(relay)
        self._projector = projector
        self._subscriptions = subscriptions

    async def drain(self) -> None:
        """Until a whole round has brought nothing new: a policy's own events are seen as well."""
        while any([await self._feed(*each) for each in self._subscriptions]):
            pass

    async def _feed(self, logs: Sequence[str], projection: Projection) -> bool:
        effects = Effects(self._projector, projection.name, projection)
        partitions = [TopicPartition(log, number) for log in logs for number in range(PARTITIONS)]
        async with self._projector.connection() as connection, connection.transaction():
            await register(connection, projection.name)
            cursors = await load(connection, projection.name, partitions)
        batch = Batch()
        for log in logs:
            stored = (await self._reader.heads(log)).stored
            for shard in (shard for shard in range(SHARDS) if stored[shard]):
                cursor = cursors[log, shard]
                async for row in self._reader.shard(log, shard, cursor.pos + 1, stored[shard]):
                    batch.take(batch.at((log, shard), cursors), envelope_from(row))
        await effects.apply(batch)
        return bool(batch.steps)
