"""How many records a second are audited, and how long a million take to verify: real servers.

`python services/audit/tests/load/measure.py [events through Kafka] [records to verify]`
"""

import asyncio
import gc
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from audit.adapters.anchors import FileAnchor
from audit.adapters.keys import Ed25519Signer
from audit.adapters.ledger import PostgresLedger
from audit.adapters.sequencer import Sequencer
from audit.adapters.verifier import verify_stored
from audit.application.notary import Notary
from audit.main import MOST_RECORDS
from devstack import topology
from devstack.stack import Stack
from kernel.clock import SystemClock
from kernel.ids import Uuid7
from messaging.consumer import Consumer
from messaging.cursor import Pool
from messaging.envelope import Envelope, headers_of
from testkit.seen import a_pool
from testkit.topics import WrittenLog, eventually, publish

LOG = "bayline.workshop.v1.JobEvent"
STREAMS = 500
PAYLOAD = b"x" * 300
SIGNER = Ed25519Signer("audit.example", bytes(32))
IDS = Uuid7()


async def ingest(stack: Stack, pool: Pool, count: int) -> dict[str, float]:
    """Through Kafka, as the service does it; what it publishes first is not counted."""
    written = WrittenLog(LOG)
    streams = [IDS.new() for _ in range(STREAMS)]
    events = [written.append(streams[number % STREAMS], PAYLOAD) for number in range(count)]
    kafka = stack.parts.environments.kafka
    for first in range(0, count, 2_000):
        await publish(kafka, events[first : first + 2_000])
    gc.freeze()  # as a service does; what was written here would burden the collector
    consumer = Consumer(
        kafka,
        pool,
        name=Sequencer.name,
        topics=[LOG],
        projection=Sequencer(),
        backfill=written,
        parks=False,
        most=MOST_RECORDS,
    )
    running = asyncio.create_task(consumer.run())
    await eventually(lambda: _has(pool, 1), within=60)  # it has joined its group
    first, began, cpu = await _size(pool), time.perf_counter(), _cpu()
    await eventually(lambda: _has(pool, count), within=600)
    seconds, used, rest = time.perf_counter() - began, _cpu() - cpu, count - first
    consumer.stop()
    await running
    return {"records/s": rest / seconds, "CPU us/record": used / rest * 1e6}


async def fill(pool: Pool, count: int) -> float:
    """Straight into the log, signed every 20,000. Returns records a second."""
    folder = Path(tempfile.mkdtemp())
    anchor = FileAnchor.read(folder / "anchor", SIGNER.verifier(), SystemClock())
    notary = Notary(PostgresLedger(pool, SIGNER.name), SIGNER, anchor, [])
    began, sequencer, batch = time.perf_counter(), Sequencer(), list[Envelope]()
    for number, envelope in enumerate(_many(count), 1):
        batch.append(envelope)
        if number % MOST_RECORDS == 0 or number == count:
            async with pool.connection() as connection, connection.transaction():
                await sequencer.apply(connection, [(each, each) for each in batch])
            batch.clear()
        if number % 20_000 == 0 or number == count:
            await notary.sign()
    shutil.rmtree(folder)
    return count / (time.perf_counter() - began)


def _many(count: int) -> Iterator[Envelope]:
    first = WrittenLog(LOG).append(UUID(int=1), PAYLOAD, tenant="globex")
    headers = tuple(headers_of(first))
    for pos in range(2, count + 2):
        yield replace(first, pos=pos, event_id=str(IDS.new()), headers=headers)


async def _has(pool: Pool, count: int) -> bool:
    return await _size(pool) >= count


async def _size(pool: Pool) -> int:
    async with pool.connection() as connection:
        query = "SELECT coalesce(max(seq) + 1, 0) FROM audit.leaf WHERE tenant = 'acme'"
        row = await (await connection.execute(query)).fetchone()
    return int(row[0]) if row else 0


def _cpu(of: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(of)
    return used.ru_utime + used.ru_stime


def main(through_kafka: int, to_verify: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bayline-audit-"))
    folder.chmod(0o755)
    stack = Stack.beside(folder / "home")
    try:
        for name in ("postgres", "kafka"):
            stack.start(name, lambda who, what: None)
        print(json.dumps(asyncio.run(measured(stack, through_kafka, to_verify)), indent=2))  # noqa: T201 -- its answer
    finally:
        stack.down(lambda who, what: None)
        stack.parts.erase()
        shutil.rmtree(folder, ignore_errors=True)


async def measured(stack: Stack, through_kafka: int, to_verify: int) -> dict[str, object]:
    environments = stack.parts.environments
    user, passwords = "audit_projector", environments.passwords("audit")
    server = environments.postgres
    dsn = server.dsn(topology.AUDIT.name, user=user, password=passwords["projector"])
    async with a_pool(dsn) as pool:
        ingested = await ingest(stack, pool, through_kafka)
        filled = await fill(pool, to_verify)
    began, cpu = time.perf_counter(), _cpu(resource.RUSAGE_CHILDREN)
    report = await asyncio.to_thread(
        verify_stored, server.dsn("audit"), "globex", [], SIGNER.verifier()
    )
    seconds = time.perf_counter() - began
    assert not report.findings, report.findings
    verified = {"records": report.size, "checkpoints": report.checkpoints, "seconds": seconds}
    verified["CPU s of the workers"] = _cpu(resource.RUSAGE_CHILDREN) - cpu
    return {"ingest": ingested, "sequencer records/s": filled, "verify": verified}


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]] or [60_000, 1_000_000]
    main(*numbers)
