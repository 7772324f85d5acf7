"""Stopped processes, full disks, a store that somebody changed: what the command line makes of them."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM
from typing import Any
from uuid import UUID

import psycopg
import pytest

from devstack.failure import StackFailure
from devstack.ports import is_free
from devstack.processes import Program, Running, spawn, stop
from devstack.stack import Stack
from testkit.commands import BAYLINE, bayline
from testkit.topics import WrittenLog

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

JOBS = "bayline.workshop.v1.JobEvent"
JOB = UUID(int=1042)
EVENT = """
INSERT INTO es.event (log, shard, pos, tenant, stream, ver, event_id, type, occurred_at,
                      recorded_at, data, meta, hash)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
HEAD = """
INSERT INTO es.head (log, shard, pos, hash) VALUES (%s, %s, %s, %s)
ON CONFLICT (log, shard) DO UPDATE SET pos = excluded.pos, hash = excluded.hash"""
CONSUMERS = """
INSERT INTO consumer.status (name, state, reason, rebuild_needed)
VALUES ('workshop.job-list', 'running', '', 3), ('workshop.roster', 'halted', 'another epoch', 0)
ON CONFLICT DO NOTHING"""
PARKED = """
INSERT INTO consumer.parked (name, log, error, kafka_partition, kafka_offset, header_names, header_values)
VALUES ('workshop.job-list', 'x', 'a bug', 0, 0, '{}', '{}')"""
PARKED_STREAM = "INSERT INTO consumer.parked_stream VALUES ('workshop.job-list', 'x', 'acme', '1')"


async def test_a_stopped_process_is_no_running_one_for_whoever_asks(stack: Stack) -> None:
    stack.start("postgres", _ignore)
    with _workshop(stack) as store:
        store.execute(CONSUMERS.encode())
    with _asleep(stack, "workshop"):
        said = (await bayline(stack, "status", "--json")).json

    states = {each["name"]: each["state"] for each in (*said["processes"], *said["consumers"])}
    assert (states["workshop"], states["gateway"]) == ("stopped", "down")
    assert {
        states[name] for name in ("workshop.job-list", "workshop.roster", "workshop.relay")
    } == {"stopped"}
    [wrong] = (each for each in said["wrong"] if each["name"] == "workshop")
    assert "stopped by a signal" in wrong["what"]
    assert "continues it" in wrong["do"]


async def test_parked_events_and_a_rebuild_that_is_needed_are_wrong(stack: Stack) -> None:
    stack.start("postgres", _ignore)
    with _workshop(stack) as store:
        store.execute(CONSUMERS.encode())
        store.execute(PARKED.encode())
        store.execute(PARKED_STREAM.encode())

    said = (await bayline(stack, "status")).out

    assert "1 events of 1 streams are parked" in said
    assert "rebuild needed: 3 events were skipped" in said
    assert said.index("Wrong: ") < said.index("process")


async def test_a_server_that_cannot_be_asked_hides_nothing_else(stack: Stack) -> None:
    await asyncio.to_thread(stack.start, "postgres", _ignore)
    with _workshop(stack) as store:
        store.execute("ALTER TABLE es.relay_cursor RENAME TO gone")

    said = (await bayline(stack, "status", "--json")).json
    with _workshop(stack) as store:
        store.execute("ALTER TABLE es.gone RENAME TO relay_cursor")

    [wrong] = (each for each in said["wrong"] if each["name"] == "postgres")
    assert "says not how far consumers are" in wrong["what"]
    assert len(said["processes"]) == 9


def test_a_stopped_server_is_continued_and_said_to_be(stack: Stack) -> None:
    stack.start("postgres", _ignore)
    before, said = stack.running()["postgres"], list[str]()
    os.kill(before.pid, SIGSTOP)
    while not before.is_asleep():
        os.sched_yield()
    shown = {each.name: each.state for each in stack.states()}

    stack.start("postgres", lambda name, text: said.append(text))

    assert shown["postgres"] == "stopped"
    assert [line.split(" (")[0] for line in said] == ["was stopped by a signal", "is ready again"]
    assert stack.running()["postgres"] == before


async def test_an_event_is_told_where_its_chain_breaks(stack: Stack) -> None:
    for name in ("postgres", "kafka"):
        await asyncio.to_thread(stack.start, name, _ignore)
    written = WrittenLog(JOBS)
    events = [written.append(JOB, b"%d" % number) for number in range(3)]
    _store(stack, written)
    whole = await bayline(stack, "explain", events[2].event_id)

    _change(stack, "UPDATE es.event SET data = 'x' WHERE event_id = %s", events[1].event_id)
    broken = await bayline(stack, "explain", events[2].event_id)
    as_json = await bayline(stack, "explain", events[0].event_id, "--json")
    _change(stack, "UPDATE es.event SET data = '1' WHERE event_id = %s", events[1].event_id)
    _change(stack, "DELETE FROM es.event WHERE event_id = %s", events[2].event_id)
    cut = await bayline(stack, "explain", events[0].event_id, "--json")

    assert (whole.code, "the chain holds" in whole.out) == (0, True), whole
    assert broken.code == 1
    assert "pos 2" in broken.err
    assert (as_json.code, as_json.json["broken_at"], as_json.json["chain_holds"]) == (1, 2, False)
    assert (cut.code, cut.json["broken_at"]) == (1, 3)


async def test_tenants_are_listed_with_what_is_recorded_of_them(stack: Stack) -> None:
    await asyncio.to_thread(stack.start, "postgres", _ignore)
    written = WrittenLog("bayline.workshop.v1.SiteEvent")
    for tenant, streams in (("initech", (1, 1, 2)), ("umbrella", (3,))):
        for stream in streams:
            written.append(UUID(int=stream), b"1", tenant=tenant)
    _store(stack, written)

    listed = {each["tenant"]: each for each in (await bayline(stack, "tenants", "--json")).json}
    shown = (await bayline(stack, "tenants")).out

    counted = {
        name: (listed[name]["streams"], listed[name]["events"]) for name in ("initech", "umbrella")
    }
    assert counted == {"initech": (2, 3), "umbrella": (1, 1)}
    assert listed["initech"]["logs"] == {written.log: 3}
    assert listed["initech"]["first"] < listed["initech"]["last"]
    assert "umbrella" in shown


def test_a_supervisor_brings_servers_up_and_takes_them_down_when_told_to_end(
    place: Path,
) -> None:
    stack = Stack.beside(place / "supervised")
    with _supervising(stack) as supervisor:
        _line_of(supervisor, "postgres", "is ready")
        killed = stack.running()["postgres"].pid
        os.kill(killed, SIGKILL)
        again = _line_of(supervisor, "postgres", "is ready")

        supervisor.send_signal(SIGTERM)

        assert supervisor.wait(30) == 0
    assert f"(pid {killed})" not in again
    assert stack.ledger.read() == {}


def test_on_a_full_disk_nothing_is_started_that_nobody_knows_of(place: Path) -> None:
    stack = Stack.beside(place / "full")
    stack.parts.environments.of_issuer()
    _full(stack.parts.home / "processes.draft")
    [port] = next(part.ports for part in stack.parts.all() if part.name == "issuer")

    with pytest.raises(StackFailure, match="the disk is full") as failure:
        stack.start("issuer", _ignore)

    assert "free some space" in failure.value.hint
    assert (stack.ledger.read(), is_free(port)) == ({}, True)


def test_once_there_is_space_again_it_starts(place: Path) -> None:
    stack = Stack.beside(place / "freed")
    full = _full(stack.parts.home / "processes.draft")
    with pytest.raises(StackFailure, match="the disk is full"):
        stack.start("issuer", _ignore)

    full.unlink()
    stack.start("issuer", _ignore)

    assert set(stack.running()) == {"issuer"}
    stack.down(_ignore)


def test_a_full_disk_leaves_no_half_made_cluster(place: Path) -> None:
    stack = Stack.beside(place / "half")
    stack.parts.environments.of_issuer()
    data = stack.parts.cluster().data
    password = _full(data.parent / ".postgres-password")

    with pytest.raises(StackFailure, match="the disk is full"):
        stack.start("postgres", _ignore)

    assert not password.is_symlink()
    assert list(data.iterdir()) == []


async def test_a_secret_that_cannot_be_kept_is_said_to_be_for_want_of_space(place: Path) -> None:
    stack = Stack.at(place / "secretless")
    _full(stack.parts.home / "secrets.draft")

    said = await bayline(stack, "token", "--tenant", "acme", "--role", "admin")

    assert (said.code, said.err.startswith("the disk is full: ")) == (1, True), said


def _full(file: Path) -> Path:
    """Whatever is written to it, there is no space left on the device."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to("/dev/full")
    return file


@contextmanager
def _workshop(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    dsn = stack.parts.environments.postgres.dsn("workshop")
    with psycopg.connect(dsn) as connection:
        yield connection
    connection.close()


@contextmanager
def _asleep(stack: Stack, name: str) -> Iterator[Running]:
    """A process that the stack takes for one of its own, and that somebody has stopped."""
    running = spawn(Program(name, ("sleep", "60"), stack.parts.log(name)))
    stack.ledger.add(running)
    os.kill(running.pid, SIGSTOP)
    while not running.is_asleep():
        os.sched_yield()
    yield running
    stop(running)
    stack.ledger.remove(name)


def _store(stack: Stack, written: WrittenLog) -> None:
    with _workshop(stack) as store:
        for rows in filter(None, written.shards.values()):
            for row in rows:
                store.execute(EVENT, astuple(row)[:13])
            store.execute(HEAD, (written.log, rows[-1].shard, rows[-1].pos, rows[-1].hash))


@contextmanager
def _supervising(stack: Stack) -> Iterator[subprocess.Popen[str]]:
    place = {
        "BAYLINE_HOME": str(stack.parts.home),
        "BAYLINE_PORT_OFFSET": str(stack.parts.environments.offset),
    }
    supervisor = subprocess.Popen(  # noqa: S603 -- our own command
        (BAYLINE, "supervise"),
        env={**os.environ, **place},  # noqa: TID251 -- what a person's shell passes on
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield supervisor
    finally:
        supervisor.kill()
        supervisor.communicate()
        stack.down(_ignore)


def _line_of(supervisor: subprocess.Popen[str], name: str, word: str) -> str:
    assert supervisor.stdout is not None
    return next(line for line in supervisor.stdout if f" {name} " in line and word in line)


def _change(stack: Stack, statement: str, event_id: str) -> None:
    """As somebody may who owns the server."""
    with _workshop(stack) as store:
        store.execute("SET session_replication_role = replica")
        store.execute(statement.encode(), [event_id])


def _ignore(name: str, text: str) -> None:
    """These tests look at what is, not at what is said."""
