"""Registering, changing, finding: one truth, one holder of a VIN, one tenant's eyes."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from bayline.vehicle.v1 import vehicle_pb2
from kernel.errors import AlreadyExists, Forbidden, InvalidArgument, NotFound
from kernel.ids import Uuid7
from runtime.database import rows

if TYPE_CHECKING:
    from services.vehicle.tests.adapters.conftest import Fleet

pytestmark = pytest.mark.integration

RACERS = 20
VIN, WRONG_VIN = "1M8GDM9AXKP042788", "1M8GDM9A1KP042788"
ELSEWHERE = vehicle_pb2.VIN_REGION_ELSEWHERE
BERLIN, HAMBURG = str(Uuid7().new()), str(Uuid7().new())
ALL = SQL("SELECT * FROM {}")


async def listed(fleet: "Fleet", **fields: Any) -> list[str]:
    reply = await fleet.ask("ListVehicles", **fields)
    return [vehicle.asset_number for vehicle in reply.message.vehicles]


async def test_a_vehicle_is_registered_as_it_was_said_tidied_up(fleet: "Fleet") -> None:
    reply = await fleet.registers(vin=VIN.lower(), site=f"sites/{BERLIN}")

    assert reply.version == 1
    assert reply.message == vehicle_pb2.Vehicle(
        name=reply.message.name,
        etag="1",
        vin=VIN,
        vin_region=vehicle_pb2.VIN_REGION_NORTH_AMERICA,
        plate="B-FL 1042",
        asset_number="TRK-1042",
        make="MAN",
        model="TGX 18.470",
        model_year=2022,
        site=f"sites/{BERLIN}",
    )
    assert (await fleet.ask("GetVehicle", name=reply.message.name)).message == reply.message


async def test_a_vehicle_changes_step_by_step(fleet: "Fleet") -> None:
    name = (await fleet.registered()).name

    await fleet.ask("ChangePlate", name=name, plate="hh-fl 1")
    await fleet.ask("ChangeAssetNumber", name=name, asset_number="TRK-2042")
    await fleet.ask("MoveVehicle", name=name, site=f"sites/{HAMBURG}", etag="3")
    sold = (await fleet.ask("SellVehicle", name=name)).message
    refused = await fleet.refusal("ChangePlate", name=name, plate="HH-FL 2")

    assert (sold.plate, sold.asset_number, sold.site) == (
        "HH-FL 1",
        "TRK-2042",
        f"sites/{HAMBURG}",
    )
    assert (sold.sold, sold.etag) == (True, "5")
    assert refused.reason == "VEHICLE_SOLD_ALREADY"
    assert (await fleet.ask("GetVehicle", name=name)).message == sold


async def test_a_change_sent_again_answers_as_the_first_time(fleet: "Fleet") -> None:
    name = (await fleet.registered()).name
    change: dict[str, Any] = {"name": name, "plate": "HH-FL 1", "request_id": f"plate-of-{name}"}

    first = await fleet.ask("ChangePlate", **change)
    again = await fleet.ask("ChangePlate", **change)

    assert (first.replayed, again.replayed) == (False, True)
    assert first.message == again.message


async def test_who_saw_an_older_version_is_told(fleet: "Fleet") -> None:
    name = (await fleet.registered()).name
    await fleet.ask("ChangePlate", name=name, plate="HH-FL 1", etag="1")

    refused = await fleet.refusal("SellVehicle", name=name, etag="1")

    assert refused.reason == "STALE_VERSION"


async def test_a_wrong_check_digit_is_refused_in_north_america(fleet: "Fleet") -> None:
    refused = await fleet.refusal(
        "RegisterVehicle",
        vin=WRONG_VIN,
        vin_region=vehicle_pb2.VIN_REGION_NORTH_AMERICA,
        make="MAN",
        model="TGX",
    )

    assert (refused.kind, refused.reason) == (InvalidArgument, "VIN_CHECK_DIGIT_WRONG")
    assert [each.pointer for each in refused.violations] == ["/vin"]


async def test_a_vin_that_cannot_be_is_refused_in_words_a_person_understands(
    fleet: "Fleet",
) -> None:
    refused = await fleet.refusal("RegisterVehicle", **fleet.typed(vin=f"{VIN}1"))

    assert (refused.kind, refused.reason) == (InvalidArgument, "VIN_MALFORMED")
    assert [each.pointer for each in refused.violations] == ["/vin"]


async def test_a_wrong_check_digit_is_a_warning_elsewhere(fleet: "Fleet") -> None:
    warned = await fleet.registered(vin=WRONG_VIN, vin_region=ELSEWHERE)
    right = await fleet.registered(vin=VIN, vin_region=ELSEWHERE)

    assert list(warned.warnings) == ["VIN_CHECK_DIGIT_WRONG"]
    assert list(right.warnings) == []


async def test_of_twenty_who_register_one_vin_one_wins(fleet: "Fleet") -> None:
    won, lost = await fleet.race(fleet.registers(vin=VIN) for _ in range(RACERS))

    assert len(won) == 1
    assert Counter(each.reason for each in lost) == {"VIN_ALREADY_REGISTERED": RACERS - 1}
    assert {each.kind for each in lost} == {AlreadyExists}
    assert {each.facts["vehicle_id"] for each in lost} == {won[0].message.name}


async def test_a_sold_vehicle_is_bought_back_as_another(fleet: "Fleet") -> None:
    old = await fleet.registered(vin=VIN)
    await fleet.ask("SellVehicle", name=old.name)

    new = await fleet.registered(vin=VIN, formerly=old.name)

    assert (new.vin, new.formerly) == (VIN, old.name)
    assert new.name != old.name


async def test_vehicles_are_listed_by_asset_number_and_found_by_parts(fleet: "Fleet") -> None:
    await fleet.registered(asset_number="TRL-3", plate="HH-TR 77", site=f"sites/{HAMBURG}")
    await fleet.registered(asset_number="TRK-2", vin=VIN, site=f"sites/{BERLIN}")
    last = await fleet.registers(asset_number="TRK-1")
    await fleet.feed.drain()
    hamburger = fleet.person("driver", sites=[HAMBURG])

    assert await listed(fleet, after=last.position) == ["TRK-1", "TRK-2", "TRL-3"]
    assert await listed(fleet, query="trk") == ["TRK-1", "TRK-2"]
    assert await listed(fleet, query="tr 7") == ["TRL-3"]
    assert await listed(fleet, query="9axkp") == ["TRK-2"]
    assert await listed(fleet, query="T_K") == []
    assert await listed(fleet, site=f"sites/{BERLIN}") == ["TRK-2"]
    assert await listed(fleet, by=hamburger) == ["TRK-1", "TRL-3"]


async def test_the_list_shows_what_the_vehicle_itself_shows(fleet: "Fleet") -> None:
    old = await fleet.registered(vin=WRONG_VIN, vin_region=ELSEWHERE, asset_number="A")
    await fleet.ask("SellVehicle", name=old.name)
    await fleet.feed.drain()
    new = await fleet.registered(vin=VIN, formerly=old.name, asset_number="Z")
    await fleet.ask("MoveVehicle", name=new.name, site=f"sites/{BERLIN}")
    await fleet.feed.drain()

    shown = (await fleet.ask("ListVehicles")).message.vehicles

    themselves = [
        (await fleet.ask("GetVehicle", name=name)).message for name in (old.name, new.name)
    ]
    assert list(shown) == themselves


async def test_pages_follow_one_another_without_gap_or_repeat(fleet: "Fleet") -> None:
    """Seven trucks, some of which share a number."""
    names = {(await fleet.registered(asset_number=f"TRK-{n % 3}")).name for n in range(7)}
    await fleet.feed.drain()

    seen, token = [], ""
    while True:
        asked: dict[str, Any] = {"query": "trk", "page_size": 3, "page_token": token}
        page = (await fleet.ask("ListVehicles", **asked)).message
        seen += page.vehicles
        token = page.next_page_token
        if not token:
            break

    assert [each.asset_number[-1] for each in seen] == ["0", "0", "0", "1", "1", "2", "2"]
    assert {each.name for each in seen} == names
    first = (await fleet.ask("ListVehicles", query="trk", page_size=3)).message
    refused = await fleet.refusal("ListVehicles", query="trl", page_token=first.next_page_token)
    assert refused.reason == "PAGE_TOKEN_UNREADABLE"


async def test_another_tenant_sees_nothing(fleet: "Fleet") -> None:
    mine = await fleet.registered(vin=VIN)
    await fleet.feed.drain()
    stranger = fleet.person(tenant="another")

    read = await fleet.refusal("GetVehicle", by=stranger, name=mine.name)
    told = await fleet.refusal("ListServiceHistory", by=stranger, name=mine.name)
    sold = await fleet.refusal("SellVehicle", by=stranger, name=mine.name)
    theirs = await fleet.registered(by=fleet.person(tenant=f"{fleet.tenant}-b"), vin=VIN)

    assert {each.reason for each in (read, told, sold)} == {"VEHICLE_NOT_FOUND"}
    assert {each.kind for each in (read, told, sold)} == {NotFound}
    assert await listed(fleet, by=stranger) == []
    assert theirs.vin == VIN


async def test_who_has_no_say_there_is_refused(fleet: "Fleet") -> None:
    truck = await fleet.registered(site=f"sites/{BERLIN}")
    driver, hamburger = fleet.person("driver"), fleet.person(sites=[HAMBURG])

    refusals = [
        await fleet.refusal("ChangePlate", by=driver, name=truck.name, plate="P"),
        await fleet.refusal("ChangePlate", by=hamburger, name=truck.name, plate="P"),
        await fleet.refusal("GetVehicle", by=hamburger, name=truck.name),
        await fleet.refusal("ListServiceHistory", by=hamburger, name=truck.name),
    ]

    assert {each.kind for each in refusals} == {Forbidden}
    assert (await fleet.ask("GetVehicle", name=truck.name)).message == truck


async def test_without_a_tenant_there_are_no_rows(fleet: "Fleet") -> None:
    await fleet.registered()
    await fleet.feed.drain()

    for table in ("vehicle", "job", "visit"):
        async with fleet.running.app.connection() as connection:
            found = await connection.execute(ALL.format(Identifier("read", table)))
            assert await found.fetchall() == [], table
    assert len(await rows(fleet.running.app, fleet.tenant, "SELECT vehicle FROM read.vehicle")) == 1
    assert await rows(fleet.running.app, "another", "SELECT vehicle FROM read.vehicle") == []


async def test_the_role_for_requests_has_no_rights_on_the_log(fleet: "Fleet") -> None:
    for table in ("event", "idem", "claim", "head"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with fleet.running.app.connection() as connection:
                await connection.execute(ALL.format(Identifier("es", table)))
