"""`bayline tenants`: whose events there are, how many, and from when to when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Annotated

import typer
from rich.table import Table

from devstack import consumers, show
from devstack.consumers import Stores
from devstack.stack import Stack

PARTS = """
SELECT tenant, log, count(DISTINCT stream), count(*), min(recorded_at), max(recorded_at)
FROM es.event GROUP BY tenant, log"""


@dataclass(frozen=True, slots=True)
class Part:
    """What one log has of a tenant."""

    tenant: str
    log: str
    streams: int
    events: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant: str
    streams: int
    events: int
    first: datetime
    last: datetime
    logs: Mapping[str, int]  # events by log


def tenants(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Who is recorded in the stores: streams and events, first and last. Reads all events once."""
    with consumers.stores(Stack.here().parts.environments.postgres) as found:
        known = recorded(found)
    if as_json:
        show.json(list(map(asdict, known)))
    elif known:
        _show(known)
    else:
        show.line("Nothing is recorded of anybody.")


def recorded(stores: Stores) -> list[Tenant]:
    """By name."""
    parts = [Part(*row) for store in stores.kept().values() for row in store.execute(PARTS)]
    ordered = sorted(parts, key=lambda part: (part.tenant, part.log))
    return [_whole(name, of) for name, of in groupby(ordered, key=lambda part: part.tenant)]


def _whole(tenant: str, of: Iterable[Part]) -> Tenant:
    parts = list(of)
    return Tenant(
        tenant,
        streams=sum(part.streams for part in parts),
        events=sum(part.events for part in parts),
        first=min(part.first for part in parts),
        last=max(part.last for part in parts),
        logs={part.log: part.events for part in parts},
    )


def _show(known: Sequence[Tenant]) -> None:
    table = Table()
    for column in ("tenant", "streams", "events", "first recorded", "last recorded"):
        table.add_column(column, justify="right" if column in {"streams", "events"} else "left")
    for one in known:
        times = (f"{time:%Y-%m-%d %H:%M:%S}" for time in (one.first, one.last))
        table.add_row(one.tenant, f"{one.streams:,}", f"{one.events:,}", *times)
    table.caption = "times are UTC"
    show.console.print(table)
