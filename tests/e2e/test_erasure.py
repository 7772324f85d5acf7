"""A person is forgotten: the words are nowhere, and all that is counted and proved stays."""

import asyncio
import base64
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from psycopg import sql

from devstack import archives, kafka, stories
from devstack.api import Api
from devstack.archives import Archive
from devstack.demo import Demo
from devstack.passphrases import VARIABLE
from devstack.places import environment
from devstack.postgres import binary
from devstack.processes import run
from devstack.snapshots import DATABASES, STORES
from devstack.stack import Stack
from devstack.stories import Trouble, Workshop
from eventstore.chain import genesis, hash_of
from eventstore.tail import Row
from kernel.ids import Uuid7
from kernel.personal import ERASED
from messaging.kafka import connection

SECRET = "known to the tests"
PERSON, JOB = "Wilhelmina Canary-Quux", "the canary sings behind the dashboard"
PERSONAL, ALL = (PERSON, JOB), (PERSON, JOB, "Canary-Quux")
BAYLINE = Path(sys.executable).with_name("bayline")
SOON_SECONDS = 30  # half of what a key may be kept for, so that the news of it was heeded
TABLES = """
SELECT schemaname, tablename FROM pg_tables
 WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
EVENTS = "SELECT * FROM es.linked WHERE log = %s AND shard = %s ORDER BY pos"

Found = Mapping[str, set[str]]  # where, and which of the texts


async def test_what_a_person_is_called_and_what_a_job_says_can_be_forgotten(
    demo: Demo, whole_stack: Stack, berlin: Workshop, tmp_path: Path
) -> None:
    marker = f"MARK-{Uuid7().new().hex[-20:]}"
    admin = demo.api("acme", "admin")
    registration = {"displayName": PERSON, "site": berlin.site, "personnelNumber": marker}
    ada = await admin.post("/v1/technicians", registration, key=marker)
    visit = berlin.visit(Random(11))
    visit.trouble = Trouble(JOB, "015-002-003", JOB)
    await stories.closed(visit)
    before = await _answers(admin, ada["name"], visit.job["name"])
    assert all(text in json.dumps(before) for text in PERSONAL)
    sealed = await _searched(whole_stack, demo, tmp_path / "before", (*ALL, marker))
    assert set(sealed) == {"files", "tables", "topics", "exports", "backup"}
    assert {text for found in sealed.values() for text in found} == {marker}
    stored = _chains(whole_stack)

    erased = await _bayline(whole_stack, "erase", ada["name"], "--reference", "DPO-117")
    redacted = await _bayline(whole_stack, "redact", visit.job["name"])

    assert (erased["forgotten"], redacted["forgotten"]) == (True, True)
    after = await _forgotten(admin, ada["name"], visit.job["name"])
    _same_but_erased(before, after)
    again = await admin.post("/v1/technicians", registration, key=marker)
    assert (again["name"], again["displayName"]) == (ada["name"], ERASED)
    left = await _searched(whole_stack, demo, tmp_path / "after", (*ALL, marker))
    assert {text for found in left.values() for text in found} == {marker}
    assert not _key_in(tmp_path / "after", ada["name"])
    assert not _key_in(tmp_path / "after", visit.job["name"])
    assert _key_in(tmp_path / "before", ada["name"])
    assert stored.items() <= _chains(whole_stack).items()
    assert "hold; root" in await asyncio.to_thread(_command, whole_stack, "audit", "verify")


async def _answers(caller: Api, technician: str, job: str) -> dict[str, Any]:
    """All that people are shown of them."""
    answers = {path: await caller.get(f"/v1/{path}") for path in _paths(technician, job)}
    answers["listed"] = [
        each
        for each in (await caller.get("/v1/technicians", pageSize="200"))["technicians"]
        if each["name"] == technician
    ]
    return answers


def _paths(technician: str, job: str) -> Iterable[str]:
    return technician, f"{technician}/workload", job, f"{job}/history"


async def _forgotten(caller: Api, technician: str, job: str) -> dict[str, Any]:
    deadline = asyncio.get_running_loop().time() + SOON_SECONDS
    while True:
        answers = await _answers(caller, technician, job)
        if not any(text in json.dumps(answers) for text in ALL):
            return answers
        assert asyncio.get_running_loop().time() < deadline, "still read by somebody"
        await asyncio.sleep(0.2)


def _same_but_erased(before: Any, after: Any, where: str = "") -> None:
    """Every figure, time, state and id is what it was; of words only those that were sealed go."""
    if isinstance(after, str) and ERASED in after:
        return
    if isinstance(after, dict):
        assert before.keys() == after.keys(), where
        for name, value in after.items():
            _same_but_erased(before[name], value, f"{where}/{name}")
    elif isinstance(after, list):
        assert len(before) == len(after), where
        for number, value in enumerate(after):
            _same_but_erased(before[number], value, f"{where}/{number}")
    else:
        assert before == after, where


async def _bayline(stack: Stack, verb: str, name: str, *more: str) -> Any:
    done = await asyncio.to_thread(
        _command, stack, "privacy", verb, name, "--tenant", "acme", "--json", *more
    )
    return json.loads(done)


def _command(stack: Stack, *arguments: str) -> str:
    home, offset = stack.parts.home, stack.parts.environments.offset
    place = {"BAYLINE_HOME": str(home), "BAYLINE_PORT_OFFSET": str(offset), VARIABLE: SECRET}
    done = run((str(BAYLINE), *arguments), env={**environment(), **place})
    assert done.returncode == 0, done.stderr
    return done.stdout


async def _searched(stack: Stack, demo: Demo, backup: Path, texts: Iterable[str]) -> Found:
    """Where any of the texts stands, in the clear or in a wrapping that anybody undoes."""
    await asyncio.to_thread(_command, stack, "backup", str(backup), "--with-keys")
    analyst = demo.api("acme", "analyst")
    places = {
        "files": _files(stack),
        "tables": _tables(stack),
        "topics": [record async for record in _topics(stack)],
        "exports": [frame async for frame in _exports(analyst)],
        "backup": _dumps(backup),
    }
    wanted = {text: _forms(text) for text in texts}
    found: dict[str, set[str]] = {}
    for where, contents in places.items():
        for content in contents:
            hits = {
                text for text, forms in wanted.items() if any(form in content for form in forms)
            }
            found[where] = found.get(where, set()) | hits
    return {where: hits for where, hits in found.items() if hits}


def _forms(text: str) -> list[bytes]:
    raw = text.encode()
    shifted = [base64.b64encode(b"x" * lead + raw)[4 if lead else 0 : -4] for lead in range(3)]
    return [raw, raw.hex().encode(), *shifted]


def _files(stack: Stack) -> Iterator[bytes]:
    """Logs, the broker's segments, PostgreSQL's tables and its write-ahead log."""
    for top in (stack.parts.home, stack.parts.cluster().data):
        for path in top.rglob("*"):
            if path.is_file():
                try:
                    yield path.read_bytes()
                except FileNotFoundError:
                    continue  # a temporary file, gone by now


def _tables(stack: Stack) -> Iterator[bytes]:
    for database in DATABASES:
        with psycopg.connect(stack.parts.environments.postgres.dsn(database)) as connection:
            for schema, table in connection.execute(TABLES).fetchall():
                query = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(schema, table))
                with connection.cursor().copy(query) as rows:
                    yield b"".join(map(bytes, rows))


async def _topics(stack: Stack) -> Any:
    login = stack.parts.environments.kafka
    async with kafka.admin(login) as admin:
        described = await admin.describe_topics(await admin.list_topics())
    partitions = [
        TopicPartition(topic["topic"], each["partition"])
        for topic in described
        for each in topic["partitions"]
    ]
    consumer: Any = AIOKafkaConsumer(**connection(login))
    async with consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    headers = b"".join(value for _, value in record.headers)
                    yield b"\n".join((record.key or b"", record.value or b"", headers))


async def _exports(analyst: Api) -> Any:
    for stream in (await analyst.get("/v1/streams"))["streams"]:
        async for frame in analyst.frames(f"/v1/streams/{stream['topic']}/events"):
            yield json.dumps(frame).encode()
        path, until = f"/v1/streams/{stream['topic']}/export", stream["cursor"]
        for as_table in ("false", "true"):
            async for piece in analyst.body(path, until=until, asTable=as_table):
                yield piece


def _dumps(backup: Path) -> Iterator[bytes]:
    """As whoever has the secret reads them: unsealed, and as `pg_restore` writes them."""
    for name in DATABASES:
        yield _restored(backup, f"{name}.dump")
    yield b"".join(_archive(backup).opened(archives.KEYS))
    yield (backup / archives.MANIFEST).read_bytes()


def _restored(backup: Path, name: str, *only: str) -> bytes:
    dump = backup.with_name(f"{backup.name}-{name}")
    dump.write_bytes(b"".join(_archive(backup).opened(name)))
    done = run((str(binary("pg_restore")), "--file=-", *only, str(dump)), env={})
    assert done.returncode == 0, done.stderr
    return done.stdout.encode()


def _archive(backup: Path) -> Archive:
    return archives.checked(backup, archives.manifest_of(backup), SECRET.encode())


def _key_in(backup: Path, subject: str) -> bool:
    """Whether the backup has a key for the subject, wrapped as it may be."""
    text = _restored(backup, "keyring.dump", "--data-only", "--table=subject_key").decode()
    [row] = [line.split("\t") for line in text.splitlines() if f"\t{subject}\t" in line]
    return row[3] != "\\N"


def _chains(stack: Stack) -> Mapping[UUID, bytes]:
    """The hash of every event, by its id; each chain computed anew from the bytes."""
    hashes: dict[UUID, bytes] = {}
    for database in STORES:
        with psycopg.connect(stack.parts.environments.postgres.dsn(database)) as connection:
            for log, shard in connection.execute("SELECT log, shard FROM es.head").fetchall():
                previous = genesis(log, shard)
                for columns in connection.execute(EVENTS, (log, shard)).fetchall():
                    row = Row(*columns)
                    previous = hash_of(row, previous)
                    assert row.hash == previous, row.event_id
                    hashes[row.event_id] = previous
    return hashes
