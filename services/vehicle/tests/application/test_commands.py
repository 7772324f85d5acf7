import pytest

from eventstore.decider import StaleVersion
from services.vehicle.tests.application.people import (
    ANYWHERE,
    BERLIN,
    BERLINER,
    HAMBURG,
    HAMBURGER,
    OTHER_VIN,
    VIN,
    FleetOffice,
    NotHere,
    Person,
    truck,
)
from vehicle.domain.errors import FormerVehicleUnknown, VehicleNotFound, VinAlreadyRegistered
from vehicle.domain.values import SiteId
from vehicle.domain.vehicle import (
    Change,
    ChangeAssetNumber,
    ChangePlate,
    MoveVehicle,
    SellVehicle,
)


async def test_a_vehicle_is_registered_and_changed(office: FleetOffice) -> None:
    vehicle = await office.registered()

    await office.run(ChangePlate("HH-FL 1"), vehicle)
    answer = await office.run(MoveVehicle(HAMBURG), vehicle)

    assert (answer.version, answer.replayed) == (3, False)
    found = await office.vehicle(vehicle)
    assert (found.plate, found.site) == ("HH-FL 1", HAMBURG)


async def test_what_was_asked_twice_is_done_once(office: FleetOffice) -> None:
    vehicle = await office.registered()
    await office.run(ChangePlate("HH-FL 1"), vehicle, key="the same request")

    again = await office.run(ChangePlate("HH-FL 1"), vehicle, key="the same request")

    assert (again.version, again.replayed) == (2, True)


async def test_a_vin_in_the_fleet_is_refused_and_its_vehicle_named(office: FleetOffice) -> None:
    holder = await office.registered(VIN)

    with pytest.raises(VinAlreadyRegistered) as refused:
        await office.registered(VIN)

    assert refused.value.facts == {"vehicle_id": f"vehicles/{holder}"}


async def test_a_vin_is_free_again_once_its_vehicle_is_sold(office: FleetOffice) -> None:
    await office.run(SellVehicle(), await office.registered(VIN))

    bought_back = await office.registered(VIN)

    assert (await office.vehicle(bought_back)).vin == VIN


async def test_trailers_without_a_vin_do_not_stand_in_each_others_way(
    office: FleetOffice,
) -> None:
    first, second = await office.registered(""), await office.registered("")

    assert (await office.vehicle(first)).vin == (await office.vehicle(second)).vin == ""


async def test_a_re_registration_is_decided_on_the_vehicle_as_it_was(office: FleetOffice) -> None:
    old = await office.registered(VIN)
    await office.run(SellVehicle(), old)
    new = office.new_id()

    await office.run(truck(OTHER_VIN, formerly=old), new)

    assert (await office.vehicle(new)).formerly == old
    assert await office.fact_versions(new) == {f"vehicles/{old}": 2}


async def test_a_registration_of_a_vehicle_that_was_none_before_needs_no_facts(
    office: FleetOffice,
) -> None:
    assert await office.fact_versions(await office.registered()) == {}


async def test_a_re_registration_of_a_vehicle_never_had_is_refused(office: FleetOffice) -> None:
    with pytest.raises(FormerVehicleUnknown):
        await office.run(truck(formerly=office.new_id()), office.new_id())


async def test_who_decided_on_an_older_version_is_told(office: FleetOffice) -> None:
    vehicle = await office.registered()
    await office.run(ChangePlate("HH-FL 1"), vehicle, expected=1)

    with pytest.raises(StaleVersion):
        await office.run(ChangePlate("HH-FL 2"), vehicle, expected=1)

    assert (await office.vehicle(vehicle)).plate == "HH-FL 1"


@pytest.mark.parametrize("site", [BERLIN, None])
async def test_a_vehicle_is_registered_only_where_one_has_a_say(
    office: FleetOffice, site: SiteId | None
) -> None:
    with pytest.raises(NotHere):
        await office.run(truck(site=site), office.new_id(), HAMBURGER)


CHANGES: list[Change] = [
    ChangePlate("HH-FL 1"),
    ChangeAssetNumber("TRK-1"),
    MoveVehicle(HAMBURG),
    SellVehicle(),
]


@pytest.mark.parametrize("command", CHANGES)
async def test_a_vehicle_elsewhere_is_not_changed(office: FleetOffice, command: Change) -> None:
    vehicle = await office.registered(site=BERLIN)
    before = await office.vehicle(vehicle)

    with pytest.raises(NotHere):
        await office.run(command, vehicle, HAMBURGER)

    assert await office.vehicle(vehicle) == before


async def test_a_vehicle_is_not_moved_to_where_one_has_no_say(office: FleetOffice) -> None:
    vehicle = await office.registered(site=BERLIN)

    with pytest.raises(NotHere):
        await office.run(MoveVehicle(HAMBURG), vehicle, BERLINER)

    assert (await office.vehicle(vehicle)).site == BERLIN


@pytest.mark.parametrize("command", CHANGES)
async def test_a_vehicle_that_is_not_there_is_not_found(
    office: FleetOffice, command: Change
) -> None:
    with pytest.raises(VehicleNotFound):
        await office.run(command, office.new_id(), ANYWHERE)


async def test_a_vehicle_of_no_site_is_for_those_with_a_say_there(office: FleetOffice) -> None:
    vehicle = await office.registered(site=None)

    await office.run(ChangePlate("HH-FL 1"), vehicle, Person([""]))

    assert (await office.vehicle(vehicle)).plate == "HH-FL 1"
