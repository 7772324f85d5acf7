"""An audit log, and how it is written, signed, attacked and verified in these tests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from audit.adapters.anchors import FileAnchor, lines
from audit.adapters.keys import Ed25519Signer
from audit.adapters.ledger import PostgresLedger
from audit.adapters.sequencer import Sequencer
from audit.adapters.verifier import verify_stored
from audit.application.notary import Notary
from audit.application.verifying import Finding, Kept
from devstack.databases import Database
from kernel.clock import SystemClock
from kernel.ids import Uuid7
from messaging.consumer import Consumer
from messaging.cursor import Pool
from messaging.envelope import Envelope
from testkit.servers import KafkaServer
from testkit.topics import WrittenLog

SIGNER = Ed25519Signer("audit.example", bytes(range(32)))
IDS = Uuid7()


@dataclass
class Archive:
    """What was sequenced and signed, and how it looks to a verifier afterwards."""

    database: Database
    pool: Pool
    anchor: Path
    written: WrittenLog

    def happened(self, count: int, tenant: str = "acme") -> list[Envelope]:
        """Events of as many jobs."""
        return [
            self.written.append(IDS.new(), b"event %d" % number, tenant=tenant)
            for number in range(count)
        ]

    @asynccontextmanager
    async def consuming(self, kafka: KafkaServer) -> AsyncIterator[None]:
        """From the topic, as the service does; stopped at the end."""
        consumer = Consumer(
            kafka,
            self.pool,
            name=Sequencer.name,
            topics=[self.written.log],
            projection=Sequencer(),
            backfill=self.written,
            parks=False,
        )
        running = asyncio.create_task(consumer.run())
        try:
            yield
        finally:
            consumer.stop()
            async with asyncio.timeout(10):
                await running

    def has_sequenced(self, count: int) -> bool:
        return bool(self.rows("SELECT count(*) FROM audit.leaf")[0][0] >= count)

    def records(self, tenant: str = "acme") -> list[bytes]:
        query = "SELECT tenant, record FROM audit.leaf ORDER BY seq"
        return [record for of, record in self.rows(query) if of == tenant]

    async def sequence(self, envelopes: Sequence[Envelope]) -> None:
        sequencer = Sequencer()
        contents = [(envelope, sequencer.decode(envelope)) for envelope in envelopes]
        async with self.pool.connection() as connection, connection.transaction():
            await sequencer.apply(connection, contents)

    async def sign(self, signer: Ed25519Signer = SIGNER) -> Notary:
        file = FileAnchor.read(self.anchor, signer.verifier(), SystemClock())
        notary = Notary(PostgresLedger(self.pool, signer.name), signer, file, [])
        await notary.sign()
        await notary.anchor()
        return notary

    def attack(self, *statements: str, **values: Any) -> None:
        """As a superuser, whom no trigger stops."""
        with psycopg.connect(self.database.superuser_dsn) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                connection.execute(statement.encode(), values)

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.database.superuser_dsn) as connection:
            return connection.execute(query.encode()).fetchall()

    def findings(self, tenant: str = "acme", *, anchored: bool = True) -> list[Finding]:
        notes = [
            Kept(f"line {line.number} of the file", line.note)
            for line in (lines(self.anchor) if anchored else ())
            if line.tenant == tenant
        ]
        dsn = self.database.superuser_dsn
        return list(verify_stored(dsn, tenant, notes, SIGNER.verifier()).findings)
