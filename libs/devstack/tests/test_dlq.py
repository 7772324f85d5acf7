import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest

from devstack.accounts import Login
from devstack.stack import Stack
from messaging.consumer import Consumer
from testkit.commands import Said, bayline
from testkit.seen import TABLE, Seen, a_pool
from testkit.topics import WrittenLog, eventually, publish, topics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

ILL, WELL = UUID(int=1), UUID(int=2)


@dataclass(frozen=True)
class Shop:
    """A consumer that runs here, and the command line of its stack."""

    stack: Stack
    seen: Seen

    @property
    def name(self) -> str:
        return self.seen.name

    async def bayline(self, *arguments: str) -> Said:
        return await bayline(self.stack, *arguments)

    async def parked(self) -> list[dict[str, Any]]:
        said = await self.bayline("dlq", "list", "--consumer", self.name, "--json")
        found: list[dict[str, Any]] = json.loads(said.out)
        return found

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        dsn = self.stack.parts.environments.postgres.dsn("workshop")
        with psycopg.connect(dsn) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def order_of(self, stream: UUID) -> list[int]:
        query = "SELECT version FROM public.seen WHERE consumer = %s AND stream = %s ORDER BY nr"
        return [version for (version,) in self.rows(query, self.name, str(stream))]

    def is_spoiled(self) -> bool:
        parked = self.rows("SELECT FROM consumer.parked WHERE name = %s", self.name)
        return self.order_of(WELL) == [1, 2, 3] and len(parked) == 2


@pytest.fixture
async def shop(stack: Stack, topic_prefix: str) -> AsyncIterator[Shop]:
    """The second event of one stream is poison; another stream is well."""
    for name in ("postgres", "kafka"):
        await asyncio.to_thread(stack.start, name, lambda who, text: None)
    environments = stack.parts.environments
    with psycopg.connect(environments.postgres.dsn("workshop")) as connection:
        connection.execute(TABLE.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS").encode())
    kafka = environments.kafka
    written = WrittenLog(f"{topic_prefix}bayline.workshop.v1.JobEvent")
    password = environments.passwords("workshop")["projector"]
    dsn = environments.postgres.dsn("workshop", user="workshop_projector", password=password)
    shop = Shop(stack, Seen(f"workshop.{topic_prefix}seen"))
    async with topics(kafka, written.log), a_pool(dsn) as pool:
        await _spoil(kafka, written)
        consumer = Consumer(
            kafka,
            pool,
            name=shop.name,
            topics=[written.log],
            projection=shop.seen,
            backfill=written,
        )
        running = asyncio.create_task(consumer.run())
        await eventually(shop.is_spoiled, within=30)
        yield shop
        consumer.stop()
        await running
        shop.rows("DELETE FROM consumer.parked WHERE name = %s RETURNING id", shop.name)


async def test_only_the_stream_of_a_poisonous_event_is_parked(shop: Shop) -> None:
    first, second = await shop.parked()

    assert shop.order_of(ILL) == [1]
    assert shop.order_of(WELL) == [1, 2, 3]
    assert first["stream"] == second["stream"] == str(ILL)
    assert first["error"] == "ZeroDivisionError: a bug of the handler"
    assert second["error"] == "an earlier event of its stream is parked"


async def test_a_parked_event_is_shown_whole(shop: Shop) -> None:
    first, _ = await shop.parked()

    whole = json.loads((await shop.bayline("dlq", "inspect", first["id"], "--json")).out)

    assert whole["headers"]["ce_streamver"] == "2"
    assert (whole["key"], whole["value"]) == (f"acme/{ILL}", "YnVn")
    assert "ZeroDivisionError" in (await shop.bayline("dlq", "inspect", first["id"])).out


async def test_a_retry_while_the_cause_is_there_leaves_the_stream_parked(shop: Shop) -> None:
    said = await shop.bayline("dlq", "retry", shop.name, "--json")

    assert (said.code, json.loads(said.out)) == (1, {"applied": 0, "failed": 1})
    assert len(await shop.parked()) == 2


async def test_a_retry_after_the_cause_is_gone_drains_the_stream_in_order(shop: Shop) -> None:
    shop.seen.healed = True

    said = await shop.bayline("dlq", "retry", shop.name, "--json")

    assert (said.code, json.loads(said.out)) == (0, {"applied": 2, "failed": 0})
    assert shop.order_of(ILL) == [1, 2, 3]
    assert await shop.parked() == []
    assert "Nothing is parked" in (await shop.bayline("dlq", "list", "--consumer", shop.name)).out


async def test_an_event_that_was_given_up_holds_up_its_stream_no_longer(shop: Shop) -> None:
    first, _ = await shop.parked()

    said = await shop.bayline("dlq", "discard", first["id"], "--by", "ada", "--reason", "twice")
    await eventually(lambda: shop.order_of(ILL) == [1, 3])

    kept = shop.rows(
        "SELECT discarded_by, reason FROM consumer.discarded WHERE name = %s", shop.name
    )
    assert (said.code, kept) == (0, [("ada", "twice")])
    assert await shop.parked() == []


async def test_what_a_reaction_passed_over_is_seen_to_by_a_person_who_says_how(shop: Shop) -> None:
    shop.rows(
        "UPDATE consumer.status SET rebuild_needed = 3 WHERE name = %s RETURNING name", shop.name
    )
    asked = ["projections", "clear", shop.name, "--by", "ada"]

    silent = await shop.bayline(*asked, "--reason", " ")
    said = await shop.bayline(*asked, "--reason", "flagged by hand", "--json")
    again = await shop.bayline(*asked, "--reason", "once more")
    nobody = await shop.bayline("projections", "clear", "nobody.nothing", "--reason", "none")

    assert (silent.code, again.code, nobody.code) == (1, 1, 1)
    assert (said.code, said.json["events"]) == (0, 3)
    kept = shop.rows(
        "SELECT events, cleared_by, reason FROM consumer.cleared WHERE name = %s", shop.name
    )
    assert kept == [(3, "ada", "flagged by hand")]


async def test_nothing_is_given_up_without_a_reason(shop: Shop) -> None:
    first, _ = await shop.parked()

    for reason in ([], ["--reason", " "]):
        assert (await shop.bayline("dlq", "discard", first["id"], *reason)).code != 0

    assert len(await shop.parked()) == 2


async def test_what_is_not_there_is_said_to_be_missing(shop: Shop) -> None:
    for arguments, told in (
        (["inspect", "workshop/0"], "nothing is parked under workshop/0"),
        (["discard", "workshop/0", "--reason", "none"], "nothing is parked under workshop/0"),
        (["retry", "workshop.dreams"], shop.name),
    ):
        said = await shop.bayline("dlq", *arguments)
        assert (said.code, told in said.err) == (1, True), said


async def test_a_consumer_that_does_not_run_is_not_waited_for_without_end(shop: Shop) -> None:
    asleep = f"{shop.name}.asleep"
    shop.rows("INSERT INTO consumer.status (name) VALUES (%s) RETURNING name", asleep)

    said = await shop.bayline("dlq", "retry", asleep, "--timeout", "1")

    assert (said.code, "has not answered within 1 s" in said.err) == (1, True), said


async def test_a_dlq_topic_that_takes_nothing_is_named_in_the_status(shop: Shop) -> None:
    gone = f"{shop.name}.gone"
    shop.rows(
        "UPDATE consumer.parked SET log = %s, parked_at = now() - interval '1 min',"
        " relayed_at = NULL WHERE name = %s RETURNING id",
        gone,
        shop.name,
    )

    said = await shop.bayline("projections", "status", "--json")

    (line,) = [each for each in json.loads(said.out) if each["name"] == "workshop.dlq"]
    assert (line["state"], line["lag_events"]) == ("held up", 2)
    assert f"{gone}.dlq" in line["reason"]


async def _spoil(kafka: Login, written: WrittenLog) -> None:
    for stream in (ILL, WELL):
        for data in (b"1", b"bug" if stream == ILL else b"2", b"3"):
            written.append(stream, data)
    await publish(kafka, written.envelopes)
