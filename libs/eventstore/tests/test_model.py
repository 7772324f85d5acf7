"""Both stores, told the same story, answer the same."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
import pytest

from devstack.databases import Database
from eventstore.memory import InMemoryEventStore
from eventstore.postgres import PostgresEventStore
from eventstore.store import (
    Appended,
    Claim,
    ClaimTaken,
    EventStore,
    KeyReused,
    Metadata,
    WrongVersion,
)
from testkit.events import LOAN_LOG, LoanEvent, MeterRead
from testkit.store_contract import MONDAY, NORTH, SOUTH, a_request, a_stream, put

Step: TypeAlias = tuple[UUID, int, list[LoanEvent], Metadata, list[Claim]]

pytestmark = pytest.mark.integration

SCOPES = ("car", "bay")


def story(seed: int, steps: int = 150) -> Iterator[Step]:
    """Few streams, keys, claims and hours, so that steps meet each other often."""
    dice = random.Random(seed)
    streams = [a_stream() for _ in range(4)]
    for _ in range(steps):
        events: list[LoanEvent] = [MeterRead(n, n) for n in range(dice.randrange(3))]
        request = a_request(
            f"key-{dice.randrange(60)}",
            body=dice.choice([b"one", b"one", b"two"]),
            tenant=dice.choice([NORTH, SOUTH]),
        )
        claims = [claim(dice) for _ in range(dice.randrange(3))]
        yield dice.choice(streams), dice.randrange(4), events, request, claims


def claim(dice: random.Random) -> Claim:
    start, end = sorted((dice.randrange(6), 6 + dice.randrange(6)))
    return Claim(
        dice.choice(SCOPES),
        dice.choice("ab"),
        dice.choice([None, MONDAY + timedelta(hours=start)]),
        dice.choice([None, MONDAY + timedelta(hours=end)]),
    )


async def tell(store: EventStore[LoanEvent], step: Step) -> Any:
    stream, expected, events, request, claims = step
    try:
        done = await put(
            store, stream, expected, *events, request=request, claims=claims, known=SCOPES
        )
    except WrongVersion as wrong:
        return "wrong version", wrong.version
    except (ClaimTaken, KeyReused) as refused:
        return type(refused)
    return done


@pytest.mark.parametrize("seed", range(6))
async def test_both_stores_answer_the_same(
    seed: int, store: PostgresEventStore[LoanEvent], es: Database
) -> None:
    model: InMemoryEventStore[LoanEvent] = InMemoryEventStore(log=LOAN_LOG)
    answers = []

    for step in story(seed):
        expected, answered = await tell(model, step), await tell(store, step)
        assert answered == expected
        answers.append(answered)

    kinds = {type(each) if isinstance(each, Appended) else each for each in answers}
    assert {Appended, ClaimTaken, KeyReused} <= kinds
    assert held(es) == {
        (tenant, stream, each.scope, each.key, each.start, each.end)
        for (tenant, stream), claims in model._claims.items()
        for each in claims
    }


def held(es: Database) -> set[Any]:
    with psycopg.connect(es.superuser_dsn) as connection:
        return set(
            connection.execute(
                "SELECT tenant, stream, scope, key, lower(during), upper(during) FROM es.claim"
            )
        )
