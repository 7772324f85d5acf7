"""`bayline explain`: where one event is, from the store to the last consumer."""

from functools import partial
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from bayline.event.v1.metadata_pb2 import Metadata
from devstack import consumers, show
from devstack.failure import StackFailure
from devstack.stack import Stack
from devstack.whereabouts import Reader, Whereabouts, on_topic, whereabouts


def explain(
    event_id: Annotated[str, typer.Argument(help="The id of an event: `ce_id`, or of a history.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts; with all bytes.")] = False,
) -> None:
    """Where an event is: store, topic, the cursor of each consumer, and its bytes.

    Exit code 1 if the hash chain of its shard is broken, and where.
    """
    wanted = _uuid(event_id)
    environments = Stack.here().parts.environments
    with consumers.stores(environments.postgres) as found:
        where = whereabouts(found, wanted, partial(on_topic, environments.kafka))
    if as_json:
        show.json(where.document())
    else:
        _show(where)
    if not where.chain_holds:
        event = where.event
        raise StackFailure(
            f"the chain breaks at {event.log}, shard {event.shard}, pos {where.broken_at}:"
            " what is stored there, or before it, is not what was appended",
            hint="change nothing, and compare: `bayline audit reconcile`; docs/runbooks/audit.md",
        )


def _show(what: Whereabouts) -> None:
    event = what.event
    show.facts(
        [
            ("event", f"{event.event_id}  {event.type}"),
            ("stream", f"{event.tenant}/{event.stream}, version {event.ver}"),
            (
                "store",
                f"{event.log}, shard {event.shard}, pos {event.pos}, epoch {event.epoch}",
            ),
            ("times", f"occurred {event.occurred_at}, recorded {event.recorded_at}"),
            ("trace", Metadata.FromString(event.meta).traceparent or "none"),
            ("bytes", f"{len(event.data)} of data, {len(event.meta)} of meta"),
            ("hash", f"{event.hash.hex()}  {_chain(what)}"),
            ("topic", _topic(what)),
            *(("consumer", f"{reader.name}: {_read(reader)}") for reader in what.readers),
        ]
    )


def _chain(what: Whereabouts) -> str:
    if what.chain_holds:
        return "[green]the chain holds[/]"
    return f"[bold red]THE CHAIN BREAKS AT POS {what.broken_at}[/]"


def _topic(what: Whereabouts) -> str:
    published = what.published
    if published is None:
        return "[red]gone from it[/]" if what.relayed else "[yellow]not published yet[/]"
    same = "bytes as stored" if published.identical else "[bold red]OTHER BYTES THAN STORED[/]"
    return f"partition {published.partition}, offset {published.offset}, {same}"


def _read(reader: Reader) -> str:
    if reader.parked:
        return f"[red]parked[/]: {escape(reader.parked)}"
    return f"[yellow]{reader.behind} events before it[/]" if reader.behind else "past it"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise StackFailure(f"{text} is no event id", hint="an event id is a UUID") from error
