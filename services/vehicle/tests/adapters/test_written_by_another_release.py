"""Vehicles that a newer release wrote to, or a disk spoiled."""

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from testkit.unread import NEWER
from testkit.unread_contract import Thing, UnreadContract
from vehicle.adapters import codec
from vehicle.domain.vehicle import PlateChanged

if TYPE_CHECKING:
    from services.vehicle.tests.adapters.conftest import Fleet

pytestmark = pytest.mark.integration


def a_vehicle(fleet: "Fleet") -> Thing:
    numbers = count(1)

    async def make() -> Any:
        return await fleet.registered(asset_number=f"TRK-{next(numbers)}")

    return Thing(
        fleet,
        codec.EVENTS.log,
        make,
        get="GetVehicle",
        change="ChangePlate",
        fields={"plate": "B-FL 2000"},
        lists=("ListVehicles", "vehicles"),
        bring=fleet.feed.drain,
        later=codec.EVENTS.encode(PlateChanged("B-FL 1")).SerializeToString(),
    )


class TestVehicles(UnreadContract):
    @pytest.fixture
    def thing(self, fleet: "Fleet") -> Thing:
        return a_vehicle(fleet)


async def test_its_service_history_is_shown(fleet: "Fleet") -> None:
    thing = a_vehicle(fleet)
    vehicle = await thing.make()
    await thing.written(vehicle, NEWER)

    visits = (await fleet.ask("ListServiceHistory", name=vehicle.name)).message.visits

    assert list(visits) == []


async def test_nothing_is_registered_anew_of_a_vehicle_that_is_not_known_as_a_whole(
    fleet: "Fleet",
) -> None:
    thing = a_vehicle(fleet)
    former = await thing.make()
    await thing.written(former, NEWER)

    fields = fleet.typed(asset_number="TRK-9", formerly=former.name)
    refused = await fleet.refusal("RegisterVehicle", **fields)

    assert refused.reason == "WRITTEN_BY_A_NEWER_RELEASE"
    assert refused.facts["stream"] == former.name.removeprefix("vehicles/")
