"""One instant across several databases, which know nothing of each other's transactions."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import psycopg
from psycopg import Connection, IsolationLevel

from devstack import topology
from devstack.failure import StackFailure
from devstack.postgres import Server

ATTEMPTS = 20
HEADS = "SELECT log, shard, pos FROM es.head"
CURSORS = "SELECT log, shard, max(pos) FROM consumer.cursor GROUP BY log, shard"

STORES = tuple(service.name for service in topology.EVENT_SOURCED)
DATABASES = tuple(  # the keyring last
    sorted(
        (service.name for service in topology.STORING),
        key=lambda name: name == topology.KEYRING.name,
    )
)


@contextmanager
def one_instant(server: Server) -> Iterator[Mapping[str, Connection]]:
    """A read-only transaction in each database, open until the block ends.

    Nobody is ahead of what he read: if a consumer's snapshot is later than that of the store it
    follows and so has events the store's snapshot lacks, all are taken anew. The keyring comes
    last: it has the key of everything that was sealed.
    """
    for _ in range(ATTEMPTS):
        with ExitStack() as opened:
            connections = {
                name: opened.enter_context(_snapshot(server, name)) for name in DATABASES
            }
            if _nobody_is_ahead(connections):
                yield connections
                return
    raise StackFailure("no common instant of all databases was found; try again")


@contextmanager
def _snapshot(server: Server, database: str) -> Iterator[Connection]:
    try:
        connection = psycopg.connect(server.dsn(database), connect_timeout=3)
    except psycopg.OperationalError as error:
        raise StackFailure(
            f"the database {database} does not answer: {error}", hint="start it: `bayline up`"
        ) from error
    with connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("SELECT 1")
        yield connection


def _nobody_is_ahead(connections: Mapping[str, Connection]) -> bool:
    heads = {
        (log, shard): pos for name in STORES for log, shard, pos in connections[name].execute(HEADS)
    }
    return all(
        pos <= heads.get((log, shard), 0)
        for name in DATABASES
        for log, shard, pos in connections[name].execute(CURSORS)
    )
