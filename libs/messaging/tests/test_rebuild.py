"""A read model built anew beside the live one, compared, swapped, rolled back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest

from devstack.databases import Database
from messaging import generations
from messaging.consumer import Consumer
from messaging.cursor import Pool, Transaction
from messaging.envelope import Envelope
from messaging.generations import NotPossible
from messaging.parking import discard, parked, retry
from messaging.rebuild import Rebuild
from messaging.replay import CannotApply
from messaging.status import NothingToClear, Status, clear, register
from messaging.subject import Subject
from runtime.database import rows
from runtime.migrate import migrate
from testkit.seen import a_pool
from testkit.servers import KafkaServer, NewDatabase
from testkit.topics import WrittenLog, eventually, publish, topics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

Running = Callable[..., AbstractAsyncContextManager[None]]
NAME = "workshop.tally"
STREAMS = [UUID(int=number) for number in range(1, 9)]
TABLE = """
CREATE SCHEMA read;
CREATE TABLE read.tally (
  tenant text NOT NULL, stream uuid NOT NULL, version int NOT NULL, total bigint NOT NULL,
  PRIMARY KEY (tenant, stream));
ALTER TABLE read.tally ENABLE ROW LEVEL SECURITY;
ALTER TABLE read.tally FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON read.tally FOR SELECT TO workshop_app
  USING (tenant = current_setting('app.tenant', true));
CREATE POLICY of_any_tenant ON read.tally TO workshop_projector USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA read TO workshop_app, workshop_projector;
GRANT SELECT ON read.tally TO workshop_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON read.tally TO workshop_projector;
SELECT consumer.adopt('workshop.tally', ARRAY['tally'])"""


@dataclass
class Tally:
    """Adds numbers up: an event that is applied twice, or not at all, shows for ever."""

    name: str = NAME
    release: int = 1
    healed: bool = False

    def decode(self, envelope: Envelope) -> object | None:
        if envelope.data == b"new":
            return 1000 if self.release > 1 else None
        return envelope.data if envelope.data == b"bug" else int(envelope.data)

    async def apply(self, tx: Transaction, batch: Sequence[tuple[Envelope, object]]) -> None:
        for envelope, content in batch:
            if content == b"bug" and not self.healed:
                raise ZeroDivisionError("a bug of the handler")
            number = 0 if content == b"bug" else content
            await tx.execute(
                "INSERT INTO tally AS t VALUES (%s, %s, %s, %s) ON CONFLICT (tenant, stream)"
                " DO UPDATE SET version = excluded.version, total = t.total + excluded.total",
                (envelope.tenant, envelope.stream, envelope.version, number),
            )


@dataclass
class Shop:
    log: WrittenLog
    kafka: KafkaServer
    pool: Pool
    app: Pool
    database: Database
    tally: Tally = field(default_factory=Tally)

    def consumer(self) -> Consumer:
        return Consumer(
            self.kafka,
            self.pool,
            name=NAME,
            topics=[self.log.log],
            projection=self.tally,
            backfill=self.log,
        )

    def rebuild(self, tally: Tally | None = None) -> Rebuild:
        subject = Subject(self.kafka, [self.log.log], tally or self.tally, self.log)
        return Rebuild(self.pool, subject)

    async def happens(self, *data: bytes, streams: Sequence[UUID] = STREAMS) -> None:
        """To each stream, of two tenants in turn."""
        events = [
            self.log.append(stream, each, tenant="acme" if stream.int % 2 else "globex")
            for each in data
            for stream in streams
        ]
        await publish(self.kafka, events)

    def told(self, tenant: str, release: int = 1) -> dict[str, tuple[int, int]]:
        """The fold of the log: version and total of each stream."""
        tally, fold = Tally(release=release), dict[str, tuple[int, int]]()
        for each in self.log.envelopes:
            number = tally.decode(each)
            if each.tenant == tenant and isinstance(number, int):
                _, total = fold.get(each.stream, (0, 0))
                fold[each.stream] = each.version, total + number
        return fold

    async def shown(self, tenant: str) -> dict[str, tuple[int, int]]:
        """As requests see it."""
        found = await rows(self.app, tenant, "SELECT stream::text, version, total FROM read.tally")
        return {stream: (version, total) for stream, version, total in found}

    async def agrees(self, release: int = 1) -> bool:
        return [await self.shown(tenant) for tenant in ("acme", "globex")] == [
            self.told(tenant, release) for tenant in ("acme", "globex")
        ]

    async def status(self) -> Status:
        async with self.pool.connection() as connection:
            return await register(connection, NAME)

    async def has_parked(self, events: int) -> bool:
        return len(await parked(self.pool, NAME)) == events


@pytest.fixture
async def shop(
    database: NewDatabase, kafka_server: KafkaServer, topic_prefix: str
) -> AsyncIterator[Shop]:
    made = database("workshop")
    migrate(made.owner_dsn, "workshop", folders=["messaging/migrations"])
    with psycopg.connect(made.owner_dsn, autocommit=True) as connection:
        connection.execute(TABLE)
    log = WrittenLog(f"{topic_prefix}bayline.workshop.v1.JobEvent")
    async with (
        topics(kafka_server, log.log),
        a_pool(made.projector_dsn) as pool,
        a_pool(made.app_dsn) as app,
    ):
        yield Shop(log, kafka_server, pool, app, made)


async def test_a_read_model_is_built_anew_while_events_arrive(shop: Shop, running: Running) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1", b"2", b"3")
        await eventually(shop.agrees)
        arriving = asyncio.create_task(_arrive(shop, 40))

        built = await shop.rebuild().run()

        assert (built.number, built.state, built.differing) == (2, "following", 0)
        assert built.compared_rows == len(STREAMS)
        await arriving
        await eventually(shop.agrees)
        assert await generations.compare(shop.pool, NAME) == (len(STREAMS), 0)


async def _arrive(shop: Shop, rounds: int) -> None:
    for _ in range(rounds):
        await shop.happens(b"7", b"8")


async def test_whoever_is_swapped_out_follows_and_lacks_nothing_when_rolled_back(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1")
        await eventually(shop.agrees)
        await shop.rebuild().run()

        for live in (2, 1, 2):
            assert await generations.swap(shop.pool, NAME) == live
            await shop.happens(b"5")
            await eventually(shop.agrees)


async def test_each_tenant_sees_its_own_rows_only_whichever_generation_is_read(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1")
        await eventually(shop.agrees)
        await shop.rebuild().run()

    for step in (generations.swap, generations.swap, generations.swap, generations.retire):
        await step(shop.pool, NAME)
        assert await shop.agrees()
        assert await shop.shown("nobody") == {}


async def test_a_reader_is_never_refused_while_generations_change_places(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1")
        await eventually(shop.agrees)
        await shop.rebuild().run()
    reading = [asyncio.create_task(_read(shop, 150)) for _ in range(3)]

    while not all(each.done() for each in reading):
        await generations.swap(shop.pool, NAME)

    assert await asyncio.gather(*reading) == [150, 150, 150]


async def _read(shop: Shop, times: int) -> int:
    expected = shop.told("acme")
    return sum([await shop.shown("acme") == expected for _ in range(times)])


async def test_an_event_that_cannot_be_applied_is_named_and_the_build_goes_on_once_it_can(
    shop: Shop, running: Running
) -> None:
    shop.tally.healed = True
    async with running(shop.consumer()):
        await shop.happens(b"1", b"bug", b"3")
        await eventually(lambda: _versions(shop, 3))

    with pytest.raises(CannotApply, match=r"Happened .*: ZeroDivisionError: a bug of the handler"):
        await shop.rebuild(Tally()).run()
    built = await shop.rebuild().run()

    assert (built.state, built.differing) == ("following", 0)


async def _versions(shop: Shop, version: int) -> bool:
    shown = await shop.shown("acme")
    return len(shown) == 4 and all(found == version for found, _ in shown.values())


async def test_what_was_discarded_stays_given_up(shop: Shop, running: Running) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1", b"bug", streams=STREAMS[:1])
        await eventually(lambda: shop.has_parked(1))
        (ill,) = await parked(shop.pool, NAME)
        await discard(shop.pool, NAME, ill.id, who="users/7", reason="entered twice")

        built = await shop.rebuild().run()

    assert (built.compared_rows, built.differing) == (1, 0)


async def test_a_generation_does_not_join_one_that_has_parked_what_it_has_not(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1", b"bug", b"3", streams=STREAMS[:2])
        await eventually(lambda: shop.has_parked(4))
        shop.tally.healed = True

        with pytest.raises(NotPossible, match="retry or discard them first"):
            await shop.rebuild().run()
        await retry(shop.pool, NAME, shop.tally)
        built = await shop.rebuild().run()

    assert (built.state, built.differing) == ("following", 0)


async def test_a_retry_reaches_both_generations(shop: Shop, running: Running) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1")
        await eventually(shop.agrees)
        await shop.rebuild().run()
        await shop.happens(b"bug", b"3", streams=STREAMS[:2])
        await eventually(lambda: shop.has_parked(4))
        shop.tally.healed = True

        await retry(shop.pool, NAME, shop.tally)

    assert await generations.compare(shop.pool, NAME) == (len(STREAMS), 0)


async def test_a_read_model_that_lacks_events_is_not_cleared_but_built_anew(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1", b"new")
        await eventually(shop.agrees)

    with pytest.raises(NothingToClear):
        await clear(shop.pool, NAME, who="ada", reason="looks fine")

    assert (await shop.status()).rebuild_needed == len(STREAMS)


async def test_events_that_an_older_release_passed_over_are_there_after_the_swap(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1", b"new", b"3")
        await eventually(shop.agrees)
    assert (await shop.status()).rebuild_needed == len(STREAMS)

    shop.tally.release = 2
    async with running(shop.consumer()):
        built = await shop.rebuild().run()
        assert built.differing == 2 * len(STREAMS)
        await generations.swap(shop.pool, NAME)

        assert await shop.agrees(release=2)
        assert (await shop.status()).rebuild_needed == 0
        await generations.swap(shop.pool, NAME)
        assert (await shop.status()).rebuild_needed == len(STREAMS)


async def test_a_consumer_ahead_of_a_restored_store_goes_on_from_a_new_generation(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1", b"2")
        await eventually(shop.agrees)
        shop.log.lose_last(shop.log.envelopes[0].shard)
        shop.log.begin_new_epoch()
        await shop.happens(b"9", streams=STREAMS[4:])
        await eventually(lambda: _is_halted(shop))

        built = await shop.rebuild().run()
        assert (built.state, built.built_at is not None) == ("building", True)
        await generations.replace(shop.pool, NAME)

        assert await shop.agrees()
        await shop.happens(b"4")
        await eventually(shop.agrees)
    assert [each.number for each in await generations.generations(shop.pool, NAME)] == [2]


def _tenant(stream: UUID) -> str:
    return "acme" if stream.int % 2 else "globex"


async def _is_halted(shop: Shop) -> bool:
    return (await shop.status()).halted


async def test_what_the_topic_lacks_is_read_from_the_store(shop: Shop, running: Running) -> None:
    shop.log.append(STREAMS[0], b"1", tenant="acme")
    shop.log.append(STREAMS[0], b"2", tenant="acme")
    async with running(shop.consumer()):
        await shop.happens(b"3", streams=STREAMS[:1])
        await eventually(shop.agrees)
        for each in STREAMS[1:3]:
            shop.log.append(each, b"4", tenant=_tenant(each))

        built = await shop.rebuild().run()

    assert (built.state, built.differing) == ("following", 0)


async def test_a_build_that_is_not_wanted_any_more_leaves_nothing_behind(
    shop: Shop, running: Running
) -> None:
    async with running(shop.consumer()):
        await shop.happens(b"1", b"bug", streams=STREAMS[:1])
        await eventually(lambda: shop.has_parked(1))
        with pytest.raises(CannotApply):
            await shop.rebuild().run()

        await generations.retire(shop.pool, NAME)

    left = "SELECT name FROM consumer.cursor WHERE name <> %s UNION SELECT name FROM consumer.status WHERE name <> %s"
    async with shop.pool.connection() as connection:
        assert await (await connection.execute(left, (NAME, NAME))).fetchall() == []
    with pytest.raises(NotPossible, match="no second generation"):
        await generations.retire(shop.pool, NAME)


@pytest.mark.parametrize("step", [generations.swap, generations.replace, generations.prepare])
async def test_a_step_from_where_nothing_stands_is_refused_and_changes_nothing(
    shop: Shop, step: Callable[..., Any]
) -> None:
    name = NAME if step is not generations.prepare else "workshop.certifications"

    with pytest.raises(NotPossible):
        await step(shop.pool, name)

    assert [each.state for each in await generations.generations(shop.pool, NAME)] == ["live"]
