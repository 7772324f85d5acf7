"""`bayline streams`: what an analyst may replay, through the public API."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import aiohttp
import typer

from devstack import show
from devstack.api import Api, Refused, caller
from devstack.failure import StackFailure
from devstack.stack import Stack
from devstack.tokens import Person

app = typer.Typer(no_args_is_help=True, help="Topics, replayed and live, of one tenant.")

Tenant = Annotated[str, typer.Option(help="Whose events.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
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
    since: Annotated[
        datetime | None, typer.Option(help="Only events recorded from then on, UTC.")
    ] = None,
    cursor: Annotated[str, typer.Option(help="Go on after the frame that had this cursor.")] = "",
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on when the present is reached.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Events from the beginning, a time or a cursor; to the present, or on and on."""
    query = {"follow": "true"} if following else {}
    if since is not None:
        query["from"] = f"{since.isoformat()}Z"
    if cursor:
        query["cursor"] = cursor
    _run(tenant, _printing(topic, query, as_json))


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
        show.line(f"{frame['recordedAt']:<27} {place}  {kind}", plain=True)


def _run(tenant: str, ask: Callable[[Api], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        async with aiohttp.ClientSession() as session:
            return await ask(caller(session, Stack.here(), Person(tenant, ["analyst"])))

    try:
        return asyncio.run(asked())
    except Refused as refusal:
        raise StackFailure(str(refusal), hint=str(refusal.problem.get("type", ""))) from refusal
