"""`bayline streams`: what an analyst may replay, through the public API."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer

from devstack import exports, show
from devstack.api import Api, Refused, caller
from devstack.failure import StackFailure
from devstack.stack import Stack
from devstack.tokens import Person

FORMATS = {".parquet": "EXPORT_FORMAT_PARQUET", ".ndjson": "EXPORT_FORMAT_NDJSON"}
UNREAD = {"UNREAD_NEWER_RELEASE": "  (of a newer release)", "UNREAD_DAMAGED": "  (damaged)"}
LIVE = ("bayline.", "__")  # topics of the system and of Kafka itself

app = typer.Typer(no_args_is_help=True, help="Topics, replayed and live, of one tenant.")

Tenant = Annotated[str, typer.Option(help="Whose events.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


def moment(text: str) -> datetime:
    """Any form of ISO 8601 that a command prints; UTC where it does not say."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no time, such as 2026-11-24T08:15:00Z") from error
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)


Since = Annotated[
    datetime | None,
    typer.Option(help="Only events recorded from then on; UTC.", parser=moment, metavar="TIME"),
]
Topic = Annotated[str, typer.Argument(help="Full name, such as bayline.workshop.v1.JobEvent.")]


@app.command()
def ls(tenant: Tenant = "acme", as_json: AsJson = False) -> None:
    """The topics, with the kinds of events in each."""
    found = _run(tenant, lambda api: api.get("/v1/streams"))
    if as_json:
        show.json(found["streams"])
        return
    for stream in found["streams"]:
        show.line(f"[bold]{stream['topic']}[/]  epoch {stream['epoch']}")
        for kind in stream["eventTypes"]:
            show.line(f"  {kind.rpartition('.')[2]}")


@app.command(name="show")
def show_stream(
    topic: Topic,
    stream: Annotated[str, typer.Argument(help="Id of a job, vehicle, technician or site.")],
    tenant: Tenant = "acme",
    as_json: AsJson = False,
) -> None:
    """All that happened to one thing, from its first event on."""
    _run(tenant, _printing(topic, {"stream": stream.rpartition("/")[2]}, as_json))


@app.command()
def tail(
    topic: Topic,
    tenant: Tenant = "acme",
    since: Since = None,
    cursor: Annotated[str, typer.Option(help="Go on after the frame that had this cursor.")] = "",
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on when the present is reached.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Events from the beginning, a time or a cursor; to the present, or on and on."""
    query = {"follow": "true"} if following else {}
    if since is not None:
        query["from"] = _written(since)
    if cursor:
        query["cursor"] = cursor
    _run(tenant, _printing(topic, query, as_json))


@app.command()
def cursor(topic: Topic, tenant: Tenant = "acme") -> None:
    """Where a topic stands now: the end of an export that can be made again."""
    show.line(_run(tenant, lambda api: exports.present(api, topic)), plain=True)


@app.command()
def export(
    topic: Topic,
    file: Annotated[Path, typer.Argument(help="Ends with .parquet or .ndjson.")],
    tenant: Tenant = "acme",
    until: Annotated[
        str, typer.Option(help="A cursor: the same one gives the same file. The present, if none.")
    ] = "",
    since: Since = None,
    after: Annotated[str, typer.Option(help="Only events after this cursor.")] = "",
    as_table: Annotated[
        bool, typer.Option("--as-table", help="One row for each stream: what it says at the end.")
    ] = False,
) -> None:
    """A topic's events up to a cursor, or the table they add up to, as one file."""
    if file.suffix not in FORMATS:
        raise StackFailure(f"{file} is neither .parquet nor .ndjson", hint="name it so")
    query = _bounds(since, after) | {"format": FORMATS[file.suffix]}
    if as_table:
        query["asTable"] = "true"
    end = _run(tenant, lambda api: exports.to_file(api, topic, until, query, file))
    show.step(str(file), f"{file.stat().st_size} bytes; the same again: --until {end}")


@app.command()
def replay(
    topic: Topic,
    tenant: Tenant = "acme",
    since: Since = None,
    after: Annotated[str, typer.Option(help="Only events after this cursor.")] = "",
    until: Annotated[str, typer.Option(help="As far as this cursor; the present, if none.")] = "",
    to_topic: Annotated[
        str, typer.Option(help="A Kafka topic of your own, made if it is not there.")
    ] = "",
) -> None:
    """Events at full speed, to standard output or to a topic of your own. Never to a live one."""
    if to_topic.startswith(LIVE):
        raise StackFailure(f"{to_topic} is live: nobody replays into it", hint="name one of yours")
    query = _bounds(since, after)
    if not to_topic:
        _run(tenant, lambda api: exports.to_output(api, topic, until, query))
        return
    broker = Stack.here().parts.environments.kafka
    count = _run(tenant, lambda api: exports.to_topic(api, topic, until, query, broker, to_topic))
    show.step(to_topic, f"{count} events of {tenant}")


def _bounds(since: datetime | None, after: str) -> dict[str, str]:
    bounds = {"after": after} if after else {}
    return bounds | ({"from": _written(since)} if since else {})


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _printing(
    topic: str, query: Mapping[str, str], as_json: bool
) -> Callable[[Api], Awaitable[None]]:
    async def printed(api: Api) -> None:
        async for frame in api.frames(f"/v1/streams/{topic}/events", **query):
            _print(frame, as_json)

    return printed


def _print(frame: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        show.line(json.dumps(frame), plain=True)
    elif frame["type"] == "cursor":
        show.line(f"go on with --cursor {frame['cursor']}", plain=True)
    else:
        kind = frame["type"].rpartition(".")[2]
        place = f"{frame['stream']} {frame['version']:>4}"
        why = UNREAD.get(frame.get("unread", ""), "")
        show.line(f"{frame['recordedAt']:<27} {place}  {kind}{why}", plain=True)


def _run(tenant: str, ask: Callable[[Api], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        async with aiohttp.ClientSession() as session:
            return await ask(caller(session, Stack.here(), Person(tenant, ["analyst"])))

    try:
        return asyncio.run(asked())
    except Refused as refusal:
        raise StackFailure(str(refusal), hint=str(refusal.problem.get("type", ""))) from refusal
