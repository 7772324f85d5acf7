"""What analysts are promised: the tutorial runs, and a table tells what the API tells."""

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from devstack import stories, topology
from devstack.api import Api, Refused
from devstack.demo import Demo
from devstack.places import environment
from devstack.ports import HOST
from devstack.processes import run
from devstack.stack import Stack
from devstack.stories import Workshop
from messaging.kafka import connection

TUTORIAL = Path(__file__).parents[2] / "docs" / "analysts.md"
JOBS = "bayline.workshop.v1.JobEvent"
OWN = "acme.sandbox"
BESIDE = {"stream", "version", "changedAt", "problem"}


async def test_every_block_of_the_tutorial_runs(
    demo: Demo,
    whole_stack: Stack,
    berlin: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await stories.closed(berlin.visit(Random(21)))
    await stories.requested(berlin.visit(Random(22)))
    monkeypatch.chdir(tmp_path)

    for language, text in _blocks():
        if language == "sh":
            done = await asyncio.to_thread(_shell, whole_stack, text)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
        else:
            assert duckdb.execute(text).fetchall(), text

    assert (
        await _records(whole_stack, OWN)
        == duckdb.execute("SELECT count(*) FROM 'events.parquet'").fetchall()[0][0]
    )


async def test_a_table_tells_what_the_api_tells(
    demo: Demo, berlin: Workshop, tmp_path: Path
) -> None:
    visit = berlin.visit(Random(23))
    await stories.closed(visit)
    analyst = demo.api("acme", "analyst")
    until = await _cursor(analyst, JOBS)
    job = await berlin.people["manager"].get(f"/v1/{visit.job['name']}")

    lines = await _export(analyst, until, asTable="true")

    rows = {row["name"]: row for row in map(json.loads, lines.splitlines())}
    row = rows[job["name"]]
    assert row["version"] == int(job["etag"])
    said = {name for name, value in row.items() if "[sealed]" in json.dumps(value)}
    told = job.keys() - {"etag", "allowedActions"}
    assert row.keys() - BESIDE == told
    assert {name: row[name] for name in told - said} == {name: job[name] for name in told - said}
    assert {"complaint", "cause"} <= said


async def test_an_export_shows_one_tenant_and_its_cursor_serves_no_other(demo: Demo) -> None:
    acme, polaris = demo.api("acme", "analyst"), demo.api("polaris", "analyst")
    until = await _cursor(acme, JOBS)

    with pytest.raises(Refused, match="CURSOR_UNREADABLE"):
        await _export(polaris, until)
    mine = {json.loads(line)["eventId"] for line in (await _export(acme, until)).splitlines()}
    theirs = await _export(polaris, await _cursor(polaris, JOBS))
    assert not mine & {json.loads(line)["eventId"] for line in theirs.splitlines()}


async def test_a_manager_of_a_workshop_exports_nothing(demo: Demo) -> None:
    until = await _cursor(demo.api("acme", "analyst"), JOBS)

    with pytest.raises(Refused, match="PERMISSION_DENIED"):
        await _export(demo.api("acme", "service_manager"), until)


@pytest.mark.parametrize("target", [JOBS, f"{JOBS}.dlq", "__consumer_offsets"])
async def test_nothing_is_replayed_into_a_live_topic(
    demo: Demo, whole_stack: Stack, target: str
) -> None:
    command = f"bayline streams replay {JOBS} --to-topic {target}"

    done = await asyncio.to_thread(_shell, whole_stack, command)

    assert done.returncode == 1
    assert "is live" in done.stderr


async def test_the_command_line_prints_the_document_that_the_gateway_serves(
    demo: Demo, whole_stack: Stack
) -> None:
    done = await asyncio.to_thread(_shell, whole_stack, "bayline topics --asyncapi")

    served = await demo.api("acme", "analyst").get("/asyncapi.json")
    assert json.loads(done.stdout) == served


def _blocks() -> list[tuple[str, str]]:
    found = re.findall(r"^```(\w+)\n(.*?)^```", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL)
    assert {language for language, _ in found} == {"sh", "sql"}
    return found


def _shell(stack: Stack, text: str) -> Any:
    """As a reader would type it, in the folder of this test."""
    script = f"cd {Path.cwd()}\n{text}"
    return run(("/bin/bash", "-euo", "pipefail", "-c", script), env=_environment(stack))


def _environment(stack: Stack) -> Mapping[str, str]:
    offset = stack.parts.environments.offset
    given = dict(environment())
    return given | {
        "PATH": f"{Path(sys.executable).parent}:{given['PATH']}",
        "BAYLINE_HOME": str(stack.parts.home),
        "BAYLINE_PORT_OFFSET": str(offset),
        "GATEWAY": f"http://{HOST}:{topology.GATEWAY.port + offset}",
    }


async def _cursor(caller: Api, topic: str) -> str:
    streams = (await caller.get("/v1/streams"))["streams"]
    return next(str(each["cursor"]) for each in streams if each["topic"] == topic)


async def _export(caller: Api, until: str, **query: str) -> bytes:
    pieces = caller.body(f"/v1/streams/{JOBS}/export", until=until, **query)
    return b"".join([piece async for piece in pieces])


async def _records(stack: Stack, topic: str) -> int:
    consumer: Any = AIOKafkaConsumer(**connection(stack.parts.environments.kafka))
    async with consumer:
        ends = await consumer.end_offsets([TopicPartition(topic, n) for n in range(16)])
    return int(sum(ends.values()))
