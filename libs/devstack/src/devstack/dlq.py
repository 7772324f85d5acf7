"""`bayline dlq`: the events that consumers could not apply, and what becomes of them."""

import asyncio
import base64
import getpass
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from psycopg.rows import class_row
from rich.markup import escape
from rich.table import Table

from devstack import consumers, show
from devstack.failure import StackFailure
from devstack.pools import on
from devstack.stack import Stack
from messaging.cursor import Pool
from messaging.parking import NotParked, Parked, Retried
from messaging.parking import discard as give_up
from messaging.retries import answer, ask

app = typer.Typer(no_args_is_help=True, help="Events that consumers could not apply.")

POLL_SECONDS = 0.1
PARKED = "SELECT * FROM consumer.parked ORDER BY name, log, shard, pos, id"
NAMES = "SELECT name FROM consumer.status"

AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
EventId = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it: vehicle/12.")]
Who = Annotated[str, typer.Option("--by", help="Who decides; kept.", default_factory=getpass.getuser)]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """One row of `list`. `id` names the service too: each database counts on its own."""

    id: str
    consumer: str
    error: str
    log: str
    shard: int | None
    pos: int | None
    tenant: str
    stream: str
    type: str
    event_id: str
    parked_at: str

    @classmethod
    def of(cls, service: str, parked: Parked) -> "ParkedEvent":
        headers = _headers(parked)
        return cls(
            id=f"{service}/{parked.id}",
            consumer=parked.name,
            error=parked.error,
            log=parked.log,
            shard=parked.shard,
            pos=parked.pos,
            tenant=parked.tenant,
            stream=parked.stream,
            type=headers.get("ce_type", ""),
            event_id=headers.get("ce_id", ""),
            parked_at=parked.parked_at.isoformat(),
        )


@app.command("list")
def list_parked(
    consumer: Annotated[str, typer.Option(help="Of this one only.")] = "", as_json: AsJson = False
) -> None:
    """What is parked: each stream in its order, the first of each with its error."""
    found = [
        ParkedEvent.of(service, parked)
        for service, parked in _all()
        if consumer in {"", parked.name}
    ]
    if as_json:
        show.json([asdict(event) for event in found])
    else:
        _show(found)


@app.command()
def inspect(event: EventId, as_json: AsJson = False) -> None:
    """One parked event as it came: where from, why it is here, headers and bytes."""
    service, parked = _one(event)
    document = asdict(ParkedEvent.of(service, parked)) | {
        "kafka": {"partition": parked.kafka_partition, "offset": parked.kafka_offset},
        "key": (parked.key or b"").decode(errors="backslashreplace"),
        "headers": _headers(parked),
        "value": base64.b64encode(parked.value or b"").decode(),
    }
    if as_json:
        show.json(document)
    else:
        _show_whole(document)


@app.command()
def retry(
    consumer: Annotated[str, typer.Argument(help="As `list` shows it.")],
    by: Who,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for it.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Have a consumer apply what it parked, each stream in order. Exit code 1 unless all is.

    The running service does it, since it has the code; a service that is down does it when it
    runs again.
    """
    done = on(_service_of(consumer), lambda pool: _retried(pool, consumer, by, timeout))
    if done is None:
        raise StackFailure(
            f"{consumer} has not answered within {timeout:.0f} s; it will retry when it runs",
            hint="see `bayline status`, then `bayline dlq list`",
        )
    if as_json:
        show.json(asdict(done))
    else:
        show.step(consumer, f"{done.applied} events applied, {done.failed} streams stay parked")
    if done.failed:
        raise typer.Exit(1)


@app.command()
def discard(
    event: EventId,
    by: Who,
    reason: Annotated[str, typer.Option(help="Why its effect is not wanted; kept.")],
    as_json: AsJson = False,
) -> None:
    """Give one event up for good. Its stream goes on without it.

    What waited behind it is applied as by `retry`, which the running service does.
    """
    if not (reason.strip() and by.strip()):
        raise StackFailure("say who gives the event up, and why", hint="--reason, --by")
    service, parked = _one(event)
    try:
        on(service, lambda pool: _given_up(pool, parked, by, reason))
    except NotParked as error:
        raise StackFailure(str(error), hint="see `bayline dlq list`") from error
    if as_json:
        show.json({"id": event, "consumer": parked.name, "discarded_by": by, "reason": reason})
    else:
        show.step(event, f"given up by {by}; its stream goes on when {parked.name} runs")


async def _given_up(pool: Pool, parked: Parked, by: str, reason: str) -> None:
    await give_up(pool, parked.name, parked.id, who=by, reason=reason)
    await ask(pool, parked.name, who=by)


def _all() -> list[tuple[str, Parked]]:
    with consumers.stores(Stack.here().parts.environments.postgres) as found:
        rows: list[tuple[str, Parked]] = []
        for service, connection in found.connections.items():
            with connection.cursor(row_factory=class_row(Parked)) as cursor:
                rows += [(service, parked) for parked in cursor.execute(PARKED)]
    return rows


def _one(event: str) -> tuple[str, Parked]:
    for service, parked in _all():
        if f"{service}/{parked.id}" == event:
            return service, parked
    raise StackFailure(f"nothing is parked under {event}", hint="see `bayline dlq list`")


def _service_of(consumer: str) -> str:
    with consumers.stores(Stack.here().parts.environments.postgres) as found:
        owners = {
            name: service
            for service, connection in found.connections.items()
            for (name,) in connection.execute(NAMES)
        }
    if consumer not in owners:
        known = ", ".join(sorted(owners)) or "none yet"
        raise StackFailure(f"there is no consumer {consumer}", hint=f"there are: {known}")
    return owners[consumer]


async def _retried(pool: Pool, consumer: str, who: str, seconds: float) -> Retried | None:
    number = await ask(pool, consumer, who=who)
    deadline = asyncio.get_running_loop().time() + seconds
    while (done := await answer(pool, number)) is None:
        if asyncio.get_running_loop().time() > deadline:
            return None
        await asyncio.sleep(POLL_SECONDS)
    return done


def _headers(parked: Parked) -> dict[str, str]:
    return {name: value.decode(errors="backslashreplace") for name, value in parked.headers}


def _show(found: Sequence[ParkedEvent]) -> None:
    if not found:
        show.line("Nothing is parked.")
        return
    table = Table()
    for column in ("id", "consumer", "stream", "event", "error"):
        table.add_column(column, overflow="fold")
    for event in found:
        kind = event.type.rpartition(".")[2]
        stream = f"{event.tenant}/{event.stream}" if event.stream else "(no event of ours)"
        table.add_row(event.id, event.consumer, stream, kind, escape(event.error))
    show.console.print(table)


def _show_whole(document: Mapping[str, Any]) -> None:
    show.facts((name, escape(str(value))) for name, value in _flat(document))


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", text) for inner, text in value.items())
        else:
            yield name, value
