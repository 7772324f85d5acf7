"""A read model is a fold of the log: seen twice or made anew, it is the same."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, LiteralString

import pytest
from psycopg.sql import SQL, Identifier

from eventstore.chain import SHARDS, genesis
from eventstore.keyring import InMemoryKeyring
from eventstore.postgres import PostgresEventStore
from eventstore.sealing import Sealing
from runtime.database import rows
from testkit.grpc_service import Feed
from workshop.adapters import kafka
from workshop.adapters.codec import JOB_EVENTS
from workshop.adapters.projections import JobRows

if TYPE_CHECKING:
    from services.workshop.tests.adapters.conftest import Shop

pytestmark = pytest.mark.integration

ALL: Mapping[str, LiteralString] = {
    "job": "SELECT to_jsonb(t) FROM read.job t",
    "clock": "SELECT to_jsonb(t) FROM read.clock t",
    "deferred_line": "SELECT to_jsonb(t) FROM read.deferred_line t",
    "returned_line": "SELECT to_jsonb(t) FROM read.returned_line t",
}


async def test_jobs_projected_anew_are_the_jobs_projected_step_by_step(shop: "Shop") -> None:
    await _busy_day(shop)
    step_by_step = await _contents(shop)
    await _empty(shop)

    await _feed_again(shop)

    assert await _contents(shop) == step_by_step
    assert all(step_by_step.values())


async def test_a_job_seen_twice_is_seen_once(shop: "Shop") -> None:
    await _busy_day(shop)
    before = await _contents(shop)

    await _feed_again(shop)

    assert await _contents(shop) == before


async def _busy_day(shop: "Shop") -> None:
    """Projected after each step, so that no two batches are alike."""
    site = await shop.site()
    vehicle, technician = await shop.vehicle(), await shop.technician()
    first = await shop.planned(site.name, vehicle)
    await shop.feed.drain()
    first = await shop.step(first, "CheckInVehicle", odometer=shop.reading(120_000))
    first = await shop.step(first, "RecordDiagnosis", cause="Worn", correction="New")
    lines = [{"code": "013", "description": text, "fees_minor": 500} for text in ("Pads", "Discs")]
    first = await shop.step(first, "IssueEstimate", lines=lines)
    first = await shop.step(first, "DeferLines", lines=[2], estimate_version=1)
    await shop.feed.drain()
    first = await shop.step(first, "ApproveLines", lines=[1], estimate_version=1)
    first = await shop.started(first, technician, site.bays[0].name)
    await shop.feed.drain()
    second = await shop.planned(site.name, vehicle)
    await shop.step(second, "CheckInVehicle", odometer=shop.reading(120_100))
    await shop.feed.drain()


async def _feed_again(shop: "Shop") -> None:
    """By a projection that remembers nothing, from the beginning of the log."""
    query = "UPDATE consumer.cursor SET pos = 0, hash = %s WHERE name = 'workshop.job-list' AND log = %s AND shard = %s"
    async with shop.running.projector.connection() as connection:
        for shard in range(SHARDS):
            await connection.execute(query, (genesis(kafka.JOBS, shard), kafka.JOBS, shard))
    words = Sealing(InMemoryKeyring())
    jobs = PostgresEventStore(shop.running.app, JOB_EVENTS, words, log=JOB_EVENTS.log)
    await Feed(shop.running.relay, shop.running.projector, [([kafka.JOBS], JobRows(jobs))]).drain()


async def _contents(shop: "Shop") -> dict[str, Sequence[Any]]:
    """Every row of the tenant, whatever its columns."""
    found = {
        table: await rows(shop.running.app, shop.tenant, query) for table, query in ALL.items()
    }
    return {
        table: sorted((row for (row,) in of_table), key=str) for table, of_table in found.items()
    }


async def _empty(shop: "Shop") -> None:
    async with shop.running.projector.connection() as connection:
        for table in ALL:
            query = SQL("DELETE FROM {} WHERE tenant = %s")
            name = Identifier("proj_job_list_g1", table)
            await connection.execute(query.format(name), (shop.tenant,))
