"""Events become leaves: each tenant's in one order for ever, in the transaction of the cursors."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from audit.adapters.hashes import frontiers
from audit.domain import merkle
from audit.domain.merkle import Frontier
from audit.domain.record import Place, Record
from messaging.cursor import Transaction
from messaging.envelope import Envelope, headers_of

LOCK = """
SELECT pg_advisory_xact_lock(hashtextextended(tenant, 3)) FROM unnest(%s::text[]) tenant"""
OPEN = "INSERT INTO audit.log (tenant) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
SIZES = """
SELECT tenant, (SELECT coalesce(max(seq) + 1, 0) FROM audit.leaf l WHERE l.tenant = t.tenant)
  FROM unnest(%s::text[]) t(tenant)"""
ADD_LEAVES = """
INSERT INTO audit.leaf (tenant, seq, topic, epoch, shard, pos, stream, event_id, leaf, record)
SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::text[]::uuid[], %b::smallint[],
  %b::bigint[], %b::text[]::uuid[], %b::text[]::uuid[], %b::bytea[], %b::bytea[])"""
ADD_NODES = """
INSERT INTO audit.node (tenant, level, idx, hash)
SELECT * FROM unnest(%b::text[], %b::smallint[], %b::bigint[], %b::bytea[])"""


class Sequencer:
    """A projection (`messaging.parking.Projection`) to which every event is bytes."""

    name = "audit.log"

    def decode(self, envelope: Envelope) -> object | None:
        return envelope

    async def apply(self, tx: Transaction, batch: Sequence[tuple[Envelope, object]]) -> None:
        of_tenants: dict[str, list[Envelope]] = {}
        for envelope, _ in batch:
            of_tenants.setdefault(envelope.tenant, []).append(envelope)
        edges = await _edges(tx, sorted(of_tenants))
        leaves: list[tuple[object, ...]] = []
        nodes: list[tuple[object, ...]] = []
        for tenant, envelopes in of_tenants.items():
            records = [record_of(envelope) for envelope in envelopes]
            hashes = [merkle.leaf_hash(record) for record in records]
            _, completed = edges[tenant].grown(hashes)
            leaves.extend(_leaves(edges[tenant].size, envelopes, hashes, records))
            nodes.extend((tenant, level, idx, kept) for (level, idx), kept in completed)
        await tx.execute(ADD_LEAVES, _columns(leaves))
        if nodes:
            await tx.execute(ADD_NODES, _columns(nodes))


def record_of(envelope: Envelope) -> bytes:
    """As it came; what came out of a store, as its relay would have sent it."""
    place = Place(
        envelope.tenant,
        envelope.topic,
        _bytes(envelope.epoch),
        envelope.shard,
        envelope.pos,
        _bytes(envelope.stream),
        _bytes(envelope.event_id),
    )
    return Record(place, envelope.headers or headers_of(envelope), envelope.data).encoded


def _bytes(uuid: str) -> bytes:
    return bytes.fromhex(uuid.replace("-", ""))


async def _edges(tx: Transaction, tenants: Collection[str]) -> Mapping[str, Frontier]:
    """Nobody else appends to these logs until this transaction ends; all lock in one order."""
    await tx.execute(LOCK, (tenants,))
    await tx.execute(OPEN, (tenants,))
    sizes = await (await tx.execute(SIZES, (tenants,))).fetchall()
    return await frontiers(tx, dict(sizes))


def _leaves(
    size: int, envelopes: Sequence[Envelope], hashes: Sequence[bytes], records: Sequence[bytes]
) -> Iterator[tuple[object, ...]]:
    for seq, envelope in enumerate(envelopes, size):
        place = envelope.topic, envelope.epoch, envelope.shard, envelope.pos
        ids = envelope.stream, envelope.event_id
        yield envelope.tenant, seq, *place, *ids, hashes[seq - size], records[seq - size]


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
