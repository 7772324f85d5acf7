"""An event that a service cannot apply: to its dead-letter topic, and home once the cause is gone."""

from collections.abc import AsyncIterator, Sequence
from typing import LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from devstack.api import Api
from devstack.demo import Demo
from devstack.stack import Stack
from messaging.dlq import dlq_of
from testkit.commands import bayline
from testkit.topics import eventually, everything_in

LOG, CONSUMER = "bayline.vehicle.v1.VehicleEvent", "vehicle.vehicle-list"
POISON, CURED = "POISON 1", "CURED 1"
LIVE = "SELECT schema FROM consumer.generation WHERE name = %s AND state = 'live'"
ILL: LiteralString = (
    f"ALTER TABLE {{}}.vehicle ADD CONSTRAINT ill CHECK (plate <> '{POISON}') NOT VALID"
)
WELL: LiteralString = "ALTER TABLE {}.vehicle DROP CONSTRAINT IF EXISTS ill"


@pytest.fixture
async def admin(demo: Demo, whole_stack: Stack) -> AsyncIterator[Api]:
    """While the read model of vehicles refuses a certain plate."""
    _alter(whole_stack, ILL)
    api = demo.api("acme", "admin")
    api.waits = False
    yield api
    _alter(whole_stack, WELL)


async def test_a_poisonous_event_is_dead_lettered_and_retried_when_the_cause_is_gone(
    demo: Demo, whole_stack: Stack, admin: Api
) -> None:
    ill = await _registered(admin, demo, POISON)
    await admin.post(f"/v1/{ill}:changePlate", {"plate": CURED}, key=demo.key())
    well = await _registered(admin, demo, "FINE 1")

    await eventually(lambda: _lists(admin, well, "FINE 1"), within=30)
    await eventually(lambda: _dead_letters(whole_stack, ill, ["VehicleRegistered", "PlateChanged"]))
    assert not await _lists(admin, ill, CURED)

    said = await bayline(whole_stack, "dlq", "retry", CONSUMER, "--json")
    assert (said.code, said.json) == (1, {"applied": 0, "failed": 1})

    _alter(whole_stack, WELL)
    said = await bayline(whole_stack, "dlq", "retry", CONSUMER, "--json")

    assert (said.code, said.json) == (0, {"applied": 2, "failed": 0})
    assert await _lists(admin, ill, CURED)


async def _registered(admin: Api, demo: Demo, plate: str) -> str:
    body = {
        "vinRegion": "VIN_REGION_ELSEWHERE",
        "plate": plate,
        "assetNumber": demo.key(),
        "make": "MAN",
        "model": "TGX 18.470",
        "modelYear": 2022,
    }
    vehicle = await admin.post("/v1/vehicles", body, key=demo.key())
    return str(vehicle["name"])


async def _lists(admin: Api, name: str, plate: str) -> bool:
    found = await admin.get("/v1/vehicles", query=plate)
    return name in [each["name"] for each in found["vehicles"]]


async def _dead_letters(stack: Stack, name: str, types: Sequence[str]) -> bool:
    """Of this vehicle, in the order of its stream."""
    kafka = stack.parts.environments.kafka
    found = [dict(record.headers) for record in await everything_in(kafka, dlq_of(LOG))]
    stream = name.removeprefix("vehicles/").encode()
    ours = [headers for headers in found if headers["ce_subject"] == stream]
    assert {headers["bayline-consumer"] for headers in ours} <= {CONSUMER.encode()}
    return [headers["ce_type"].decode().rpartition(".")[2] for headers in ours] == list(types)


def _alter(stack: Stack, statement: LiteralString) -> None:
    dsn = stack.parts.environments.postgres.dsn("vehicle")
    with psycopg.connect(dsn, autocommit=True) as connection:
        ((schema,),) = connection.execute(LIVE, (CONSUMER,))
        connection.execute(SQL(statement).format(Identifier(schema)))
