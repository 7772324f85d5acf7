"""A thousand commands, each followed by its trace to everybody who learns of it."""

import asyncio
import importlib
import inspect
import json
import pkgutil
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from opentelemetry.semconv import attributes as stable
from opentelemetry.semconv._incubating import attributes as incubating
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from devstack import topology
from devstack.api import Api
from devstack.demo import NAMES, PLANS, VEHICLES, Demo
from devstack.ports import HOST
from devstack.stack import Stack
from devstack.stories import TROUBLES
from devstack.vins import vin
from messaging.envelope import PARTITIONS, Envelope, envelope_of
from messaging.kafka import connection
from testkit.collector import Collector, Seen, collecting
from testkit.servers import own_stack

KEYS = "bayline.keyring.v1.KeyService/"
COMMANDS = 1_000
JOBS = "bayline.workshop.v1.JobEvent"
AUDIT = "audit.log"
READERS = {  # of each topic: the consumers that project it or react to it
    JOBS: {
        AUDIT,
        "workshop.job-list",
        "workshop.certifications",
        "vehicle.service-history",
        "technician.workload",
    },
    "bayline.workshop.v1.SiteEvent": {AUDIT, "workshop.site-list"},
    "bayline.vehicle.v1.VehicleEvent": {AUDIT, "vehicle.vehicle-list", "workshop.fleet"},
    "bayline.workshop.v1.TenantEvent": {AUDIT},
    "bayline.technician.v1.TechnicianEvent": {
        AUDIT,
        "technician.roster",
        "workshop.roster",
        "workshop.certifications",
    },
}
PATIENCE_SECONDS = 40
MOST_SERIES = 2_000
REGISTRY = Path(__file__).parents[2] / "docs/telemetry.md"
ON_FAILURE = {"error_type", "error.type", "db.response.status_code"}  # a run may have none


class Noting(Api):
    """Remembers the keys of commands that were accepted."""

    accepted: list[str]

    async def post(self, path: str, body: Mapping[str, Any], *, key: str) -> Any:
        answer = await Api.post(self, path, body, key=key)
        self.accepted.append(key)
        return answer


class NotingDemo(Demo):
    accepted: list[str]

    def api(self, tenant: str, *roles: str, **person: Any) -> Api:
        api = Demo.api(self, tenant, *roles, **person)
        noting = Noting(api.session, api.base, api.token)
        noting.accepted = self.accepted
        return noting


@dataclass(slots=True)
class Run:
    """What was done, and all that anybody saw of it."""

    collector: Collector
    accepted: list[str] = field(default_factory=list)  # keys of commands
    events: dict[str, list[Envelope]] = field(default_factory=dict)  # by key, as published
    delivered: set[str] = field(default_factory=set)  # ids of events
    scraped: dict[str, str] = field(default_factory=dict)  # metrics, by service

    def missing(self) -> dict[str, set[str]]:
        """By key of a command: where its trace was not seen."""
        seen: defaultdict[str, set[str]] = defaultdict(set)
        for span in list(self.collector.spans):
            for trace in span.traces:
                seen[trace].add(_station(span))
        found = {key: _stations(self.events[key]) - seen[self.trace(key)] for key in self.accepted}
        return {key: stations for key, stations in found.items() if stations}

    def trace(self, key: str) -> str:
        return self.events[key][0].traceparent.split("-")[1]


def _station(span: Seen) -> str:
    attributes = span.attributes
    match span.kind:
        case "PRODUCER":
            return f"published {attributes['messaging.destination.name']}"
        case "CONSUMER" if "messaging.consumer.group.name" in attributes:
            return f"consumed {attributes['messaging.consumer.group.name']}"
        case "CONSUMER":
            return f"delivered {attributes['messaging.message.id']}"
        case _ if "http.request.method" in attributes:
            return "requested"
        case _ if "db.system.name" in attributes:
            return span.name
        case _:
            served = "keyed" if str(attributes["rpc.method"]).startswith(KEYS) else "served"
            return {"CLIENT": "called", "SERVER": served}[span.kind]


def _stations(events: list[Envelope]) -> set[str]:
    topics = {event.topic for event in events}
    return (
        {"requested", "called", "served", "es.read", "es.append"}
        | {f"published {topic}" for topic in topics}
        | {f"consumed {reader}" for topic in topics for reader in READERS[topic]}
        | {f"delivered {event.event_id}" for event in events if event.topic == JOBS}
    )


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with collecting() as collector, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "500")
        patch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16384")
        for service in topology.SERVICES:
            patch.setenv(f"{service.prefix}TELEMETRY__SAMPLING_RATIO", "1")
        with own_stack() as stack:
            run = Run(collector)
            asyncio.run(_drive(run, stack))
            run.scraped = {each.name: _scrape(stack, each) for each in topology.SERVICES}
        yield run


async def _drive(run: Run, stack: Stack) -> None:
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        demo = NotingDemo(session, stack, Random(1), "traced", lambda: None)
        demo.accepted = run.accepted
        managers = [demo.api(tenant, "service_manager") for tenant in ("acme", "polaris")]
        ready = [asyncio.Event() for _ in managers]
        watching = [
            tasks.create_task(_watch(api, begun, run.delivered))
            for api, begun in zip(managers, ready, strict=True)
        ]
        for begun in ready:
            await begun.wait()
        await demo.fleet()
        await demo.jobs()
        run.events = await _published(stack, run.accepted)
        await _until(lambda: not run.missing())
        for watcher in watching:
            watcher.cancel()


async def _watch(manager: Api, ready: asyncio.Event, delivered: set[str]) -> None:
    """As a browser does: server-sent events, from now on."""
    headers = {"authorization": f"Bearer {manager.token}", "accept": "text/event-stream"}
    endless = aiohttp.ClientTimeout(total=None)
    stream = manager.session.get(f"{manager.base}/v1/jobs:stream", headers=headers, timeout=endless)
    async with stream as answer:
        async for line in answer.content:
            if line.startswith(b"data: "):
                ready.set()
                delivered.add(json.loads(line[6:])["eventId"])


async def _published(stack: Stack, keys: Collection[str]) -> dict[str, list[Envelope]]:
    """All events in Kafka, by the command that caused them; once there are some of each."""
    consumer: Any = AIOKafkaConsumer(**connection(stack.parts.environments.kafka))
    found: defaultdict[str, list[Envelope]] = defaultdict(list)
    await consumer.start()
    try:
        partitions = [TopicPartition(each, n) for each in READERS for n in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not found.keys() >= set(keys):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for event in map(envelope_of, records):
                        found[event.causation_id].append(event)
    finally:
        await consumer.stop()
    return found


def _scrape(stack: Stack, service: topology.Service) -> str:
    port = service.admin_port + stack.parts.environments.offset
    with urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


async def _until(condition: Callable[[], bool]) -> None:
    """At the deadline it goes on: the test then shows what is missing."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110 -- spans arrive over HTTP: nobody sets an event
                await asyncio.sleep(0.5)


def test_each_of_a_thousand_commands_is_traced_to_everybody_who_learns_of_it(run: Run) -> None:
    traces = {run.trace(key) for key in run.accepted}

    assert len(run.accepted) >= COMMANDS
    assert len(traces) == len(run.accepted)
    assert run.missing() == {}
    assert run.delivered >= {
        event.event_id for key in run.accepted for event in run.events[key] if event.topic == JOBS
    }


def test_every_step_hangs_on_the_one_before_it(run: Run) -> None:
    found: defaultdict[tuple[str, str], list[Seen]] = defaultdict(list)
    for span in run.collector.spans:
        found[span.trace_id, _station(span)].append(span)

    for trace in map(run.trace, run.accepted):
        ([asked], [called], [served]) = (
            found[trace, step] for step in ("requested", "called", "served")
        )
        assert (asked.parent_id, called.parent_id) == ("", asked.span_id)
        assert served.parent_id == called.span_id
        assert served.span_id in {span.parent_id for span in found[trace, "es.append"]}
        assert {span.parent_id for span in found[trace, "keyed"]} <= {served.span_id}
    assert any(found[run.trace(key), "keyed"] for key in run.accepted)


def test_the_registry_lists_the_metrics_that_the_processes_report(run: Run) -> None:
    listed = {row[0]: row[1:6] for row in _registry("Metrics")}
    reported = _reported(run.scraped)

    assert set(listed) == set(reported)
    for metric, (kind, unit, of, labels, says) in listed.items():
        assert (kind, of, says) == reported[metric][:3], metric
        _agree(set(labels.split()), reported[metric][3], metric)
        assert [f"_{each}" in metric for each in ("seconds", "bytes")] == [
            unit == each for each in ("s", "bytes")
        ], metric


def test_no_metric_comes_twice_and_none_tells_whose_it_is(run: Run) -> None:
    for text in run.scraped.values():
        names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
        series = [line for line in text.splitlines() if not line.startswith(("#", "target_info"))]
        assert sorted(names) == sorted(set(names))
        assert len(series) < MOST_SERIES
        assert not re.search(r"acme|polaris|[0-9a-f]{8}-[0-9a-f]{4}-", "\n".join(series))


def test_the_registry_lists_the_spans_that_the_processes_send(run: Run) -> None:
    listed = {tuple(row[:3]): set(row[3].split()) for row in _registry("Spans")}
    sent: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for span in run.collector.spans:
        [row] = [row for row in listed if _is_row_of(span, row)]
        sent[row] |= set(span.attributes)

    assert set(sent) == set(listed)
    for row, names in sent.items():
        _agree(listed[row], names, row)


def test_spans_speak_the_semantic_conventions(run: Run) -> None:
    spoken = {name for span in run.collector.spans for name in span.attributes}

    assert {name for name in spoken if not name.startswith("bayline.")} <= _conventions()


def test_no_span_tells_what_people_typed_or_who_they_are(run: Run) -> None:
    private = [*NAMES, *(trouble.complaint for trouble in TROUBLES), "acme", "polaris"]
    for number, plan in enumerate(PLANS):
        for each in range(number * 100, number * 100 + VEHICLES // len(PLANS)):
            private += [vin(Random(f"{plan.code}{each}")), f"{plan.code[0]}-BL {1000 + each}"]
    found = re.compile("|".join(map(re.escape, private)).encode())

    assert [span.name for span in run.collector.spans if found.search(span.raw)] == []


def _registry(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without the backticks."""
    section = REGISTRY.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("`", "") for cell in row] for row in rows]


def _agree(listed: set[str], seen: set[str], what: object) -> None:
    assert listed >= seen >= listed - ON_FAILURE, what


def _reported(scraped: Mapping[str, str]) -> dict[str, tuple[str, str, str, set[str]]]:
    """Type, whose it is, what it says, and labels; by the name of each metric."""
    found: dict[str, list[Metric]] = defaultdict(list)
    services: dict[str, set[str]] = defaultdict(set)
    for service, text in scraped.items():
        for family in text_string_to_metric_families(text):
            name = family.name + "_total" * (family.type == "counter")
            found[name].append(family)
            services[name].add(service)
    return {
        name: (
            families[0].type,
            _whose(services[name]),
            families[0].documentation,
            {label for each in families for sample in each.samples for label in sample.labels}
            - {"le"},
        )
        for name, families in found.items()
    }


def _whose(services: set[str]) -> str:
    """`services`: some of those that have a database; a keyring consumes nothing, say."""
    behind = {service.name for service in topology.STORING}
    every = {service.name for service in topology.SERVICES}
    if services == every:
        return "all"
    return "services" if services <= behind else " ".join(sorted(services))


def _is_row_of(span: Seen, row: tuple[str, ...]) -> bool:
    """`<topic>` stands for any; a batch of several topics has none."""
    name, kind, of = row
    of_gateway = (span.service == "gateway") == (of == "gateway")
    pattern = re.sub(r"<[^>]+>", r"[^ ]+", re.escape(name).replace(r"\ <topic>", "( <topic>)?"))
    return span.kind == kind and of_gateway and bool(re.fullmatch(pattern, span.name))


def _conventions() -> set[str]:
    """Every attribute of the installed conventions that is not deprecated, stable or not yet."""
    names = [
        f"{package.__name__}.{found.name}"
        for package in (stable, incubating)
        for found in pkgutil.iter_modules(package.__path__)
    ]
    sources = "".join(inspect.getsource(importlib.import_module(name)) for name in names)
    return set(
        re.findall(r'^[A-Z_]+: Final = "([^"]+)"\n"""\n(?!Deprecated)', sources, re.MULTILINE)
    )
