"""The event store from an SQL client: appends a second, and what growth does to an append and a read."""
# ruff: noqa: S608 -- every part of a query is a constant of this file

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from tempfile import NamedTemporaryFile
from typing import Any, LiteralString

import psycopg
from psycopg import Connection

from devstack import databases
from devstack.postgres import binary
from devstack.processes import run
from devstack.stack import Stack
from tests.load import bare
from tests.load.report import Goal, Part, Row

LOG = "bayline.workshop.v1.JobEvent"
SMALL, LARGE = 10_000, 1_000_000
OF_A_STREAM = 10
HOT = SMALL // OF_A_STREAM
CLIENTS = (1, 16)
SECONDS = 5
PAIRS = 7
APPENDS, READS = 300, 1_000  # of each of a pair: few, so that the small store stays small
DATA, META = "'\\x" + "ab" * 300 + "'::bytea", "'\\x" + "cd" * 150 + "'::bytea"
STREAM = """(lpad(to_hex(1700000000000 + ({n}) * 1000), 12, '0') || '7' || left(md5(({n})::text), 3)
  || '8' || right(md5(({n})::text), 15))::uuid"""
EXPLAIN: LiteralString = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
APPEND = f"""
SELECT o_pos FROM es.append('{LOG}', 'bench', uuidv7(), 0, uuidv7()::text, '\\x00', ARRAY[uuidv7()],
  '{{bench.Happened}}', ARRAY[clock_timestamp()], ARRAY[{DATA}], ARRAY[{META}], '{{}}', '{{}}',
  '{{}}', '{{}}')"""
READ = f"""\\set n random(0, :among - 1)
SELECT count(data) FROM es.read('{LOG}', 'bench', {STREAM.format(n=":n")}, 'unused')"""
INSERT = f"""
INSERT INTO event (tenant, stream, ver, event_id, type, occurred_at, data, meta)
VALUES ('bench', uuidv7(), 1, uuidv7(), 'bench.Happened', clock_timestamp(), {DATA}, {META})"""
DESCENTS: Mapping[str, LiteralString] = {
    "head_pkey": "SELECT pos FROM es.head WHERE log = %(log)s AND shard = 7",
    "event_pkey": "SELECT hash FROM es.event WHERE log = %(log)s AND shard = 7 AND pos = 77",
    "event_of_tenant": """
      SELECT pos FROM es.event WHERE log = %(log)s AND tenant = 'bench' ORDER BY shard, pos LIMIT 1""",
    "event_event_id_key": """
      SELECT hash FROM es.event WHERE event_id = '01980000-0000-7000-8000-000000000000'""",
    "event_tenant_stream_ver_key": """
      SELECT ver FROM es.event WHERE tenant = 'bench' AND stream = '018bcfe5-6800-7000-8000-000000000000'
       ORDER BY ver DESC LIMIT 1""",
    "idem_pkey": "SELECT last_ver FROM es.idem WHERE tenant = 'bench' AND key = 'key-77'",
}
HOW = f"""pgbench, prepared statements, one event of 300 + 150 bytes for each `es.append`, to a new stream with a new key, in the role that serves requests. Appends a second are durable, one commit each, into a store of {SMALL:,} events; the baseline is a bare INSERT of the same bytes into a table with the same keys.

Growth compares two stores of the workshop's own schema with {SMALL:,} and {LARGE:,} events in streams of {OF_A_STREAM}, whose events lie among those of others: {PAIRS} pairs of runs, small and large in turn, of {APPENDS} appends or {READS:,} reads of a random whole stream, once of as many streams as the small store has, once of all (most of which lie in no shared buffer of the large one); the pair of the median ratio is shown, value and baseline being its two averages. Here appends do not wait for the disk, which would hide what they do. Buffers are those that `EXPLAIN (ANALYZE, BUFFERS)` counts for one descent of each index, the row included; a third level of the tree is one more."""


@dataclass(frozen=True, slots=True)
class Store:
    """A database of the workshop's schema that no service uses."""

    admin: str
    app: str
    streams: int


async def measured(stack: Stack) -> Part:
    with _store(stack, "bench_small", SMALL) as small, _store(stack, "bench_large", LARGE) as large:
        growth = (
            _growth("append", small, large, APPEND, APPENDS),
            _growth(f"read, one of {HOT:,} streams", small, large, READ, READS, among=HOT),
            _growth("read, one of all streams", small, large, READ, READS),
        )
        descents = [_descent(index, small, large) for index in DESCENTS]
        with bare.database(stack) as dsn:
            appends = [_appends(small, dsn, clients) for clients in CLIENTS]
    return Part("Store", HOW, tuple(chain(appends, growth, descents)))


@contextmanager
def _store(stack: Stack, name: str, events: int) -> Iterator[Store]:
    server = stack.parts.environments.postgres
    passwords = stack.parts.environments.passwords("workshop")
    made = databases.prepare(server, "workshop", passwords, name)
    try:
        _migrate(stack, server.dsn(name))
        store = Store(server.dsn(name), made.app_dsn, events // OF_A_STREAM)
        with psycopg.connect(store.admin, autocommit=True) as connection:
            connection.execute(_filling(store.streams))
            connection.execute("VACUUM ANALYZE")
        yield store
    finally:
        databases.drop(server, name)


def _filling(streams: int) -> bytes:
    """Every stream has its first event before any has its second."""
    return f"""
WITH made AS (
  SELECT g, {STREAM.format(n=f"g % {streams}")} AS stream, (g / {streams} + 1)::int AS ver
    FROM generate_series(0, {streams} * {OF_A_STREAM} - 1) g),
placed AS (
  SELECT *, row_number() OVER (PARTITION BY k ORDER BY g) AS pos
    FROM made CROSS JOIN LATERAL es.shard('bench', stream) k),
event AS (
  INSERT INTO es.event
  SELECT '{LOG}', k, pos, 'bench', stream, ver, uuidv7(), 'bench.Happened', clock_timestamp(),
         clock_timestamp(), {DATA}, {META}, sha256(uuid_send(stream)) FROM placed),
idem AS (
  INSERT INTO es.idem
  SELECT 'bench', 'key-' || g, '\\x00', stream, ver, '{LOG}', k, pos, clock_timestamp() FROM placed)
UPDATE es.head SET pos = last FROM (SELECT k, max(pos) AS last FROM placed GROUP BY k) found
 WHERE log = '{LOG}' AND shard = k
""".encode()


def _migrate(stack: Stack, dsn: str) -> None:
    env = stack.parts.environments.of_migration("workshop")
    argv = (sys.executable, "-m", "runtime.migrate", "workshop")
    done = run(argv, env=env | {"WORKSHOP__DATABASE__MIGRATION_DSN": dsn})
    if done.returncode:
        raise SystemExit(done.stderr)


def _appends(store: Store, dsn: str, clients: int) -> Row:
    many = (f"--client={clients}", f"--time={SECONDS}")
    _, value = _pgbench(store.app, APPEND, *many)
    _, baseline = _pgbench(dsn, INSERT, *many)
    name = f"appends, {clients} client{'s' * (clients > 1)}"
    return Row(name, value, "1/s", baseline, "bare SQL INSERT")


def _growth(what: str, small: Store, large: Store, query: str, count: int, among: int = 0) -> Row:
    """In turn, so that what else the machine does meets both."""
    pairs = [
        tuple(_latency(store, query, count, among or store.streams) for store in (small, large))
        for _ in range(PAIRS)
    ]
    before, after = sorted(pairs, key=lambda pair: pair[1] / pair[0])[PAIRS // 2]
    goals = (Goal("<=", 1.2, of="ratio"),)
    return Row(f"{what}, of {LARGE:,} events", after, "ms", before, f"at {SMALL:,}", goals)


def _latency(store: Store, query: str, count: int, among: int) -> float:
    flags = f"--transactions={count}", f"--define=among={among}"
    latency, _ = _pgbench(store.app, query, *flags, flush="off")
    return latency


def _descent(index: str, small: Store, large: Store) -> Row:
    before, after = (_buffers(store, index) for store in (small, large))
    goals = (Goal("<=", 1, of="difference"),)
    return Row(f"descent: {index}", after, "buffers", before, f"at {SMALL:,}", goals)


def _buffers(store: Store, index: str) -> int:
    """Of the second time: the first may clean up what was written."""
    with psycopg.connect(store.admin, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off")
        _, plan = (_plan(connection, index) for _ in range(2))
    found = [node for node in _nodes(plan) if node.get("Index Name") == index]
    if not found:
        raise SystemExit(f"PostgreSQL does not use {index} for {DESCENTS[index]}")
    return int(found[0]["Shared Hit Blocks"] + found[0]["Shared Read Blocks"])


def _plan(connection: Connection[Any], index: str) -> Any:
    ((plans,),) = connection.execute(EXPLAIN + DESCENTS[index], {"log": LOG}).fetchall()
    return plans[0]["Plan"]


def _nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _pgbench(dsn: str, script: str, *flags: str, flush: str = "on") -> tuple[float, float]:
    """The average latency in milliseconds, and transactions a second."""
    with NamedTemporaryFile("w", prefix="bayline-", suffix=".sql") as file:
        file.write(f"{script};\n")
        file.flush()
        argv = (str(binary("pgbench")), "--no-vacuum", "--protocol=prepared", f"--file={file.name}")
        done = run((*argv, *flags, dsn), env={"PGOPTIONS": f"-c synchronous_commit={flush}"})
    if done.returncode:
        raise SystemExit(done.stderr)
    return _said("latency average = ([0-9.]+) ms", done.stdout), _said(
        "tps = ([0-9.]+)", done.stdout
    )


def _said(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise SystemExit(f"pgbench said nothing of {pattern}: {output}")
    return float(found[1])
