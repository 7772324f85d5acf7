import pytest

from services.vehicle.tests.application.people import (
    ANYWHERE,
    BERLIN,
    BERLINER,
    HAMBURGER,
    TENANT,
    FleetOffice,
    NotHere,
)
from vehicle.domain.errors import VehicleNotFound
from vehicle.domain.vehicle import ChangePlate


async def test_a_vehicle_is_seen_as_the_last_command_left_it(office: FleetOffice) -> None:
    vehicle = await office.registered()
    await office.run(ChangePlate("HH-FL 1"), vehicle)

    found = await office.queries.get(TENANT, vehicle, BERLINER)

    assert (found.id, found.version, found.vehicle.plate) == (vehicle, 2, "HH-FL 1")


async def test_a_vehicle_of_another_site_is_not_shown(office: FleetOffice) -> None:
    vehicle = await office.registered(site=BERLIN)

    with pytest.raises(NotHere):
        await office.queries.get(TENANT, vehicle, HAMBURGER)


async def test_a_vehicle_of_no_site_is_shown_to_those_who_see_such(office: FleetOffice) -> None:
    vehicle = await office.registered(site=None)

    found = await office.queries.get(TENANT, vehicle, ANYWHERE)

    assert found.vehicle.site is None


async def test_another_tenants_vehicle_is_not_there(office: FleetOffice) -> None:
    vehicle = await office.registered()

    with pytest.raises(VehicleNotFound):
        await office.queries.get("globex", vehicle, ANYWHERE)
