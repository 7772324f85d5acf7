from uuid import UUID

import pytest
from hypothesis import given as over
from hypothesis import strategies

from eventstore.store import Claim
from testkit.given import Given
from vehicle.domain.errors import (
    FormerVehicleUnknown,
    VehicleNotFound,
    VehicleRegisteredAlready,
    VehicleSoldAlready,
    VinAlreadyRegistered,
    VinCheckDigitWrong,
    VinMalformed,
)
from vehicle.domain.values import SiteId, VehicleId, Vin, VinRegion
from vehicle.domain.vehicle import (
    VEHICLE,
    AssetNumberChanged,
    Change,
    ChangeAssetNumber,
    ChangePlate,
    Fleet,
    MoveVehicle,
    NoVehicle,
    PlateChanged,
    RegisterVehicle,
    SellVehicle,
    State,
    Vehicle,
    VehicleEvent,
    VehicleMoved,
    VehicleRegistered,
    VehicleSold,
    claims,
    decide,
    evolve,
    site,
    taken,
)

BERLIN, HAMBURG = SiteId("berlin"), SiteId("hamburg")
VIN, WRONG_VIN = "1M8GDM9AXKP042788", "1M8GDM9A1KP042788"
NOTHING = Fleet()


def register_truck(
    vin: str = VIN,
    region: VinRegion = VinRegion.NORTH_AMERICA,
    formerly: VehicleId | None = None,
) -> RegisterVehicle:
    return RegisterVehicle(
        vin, region, "b-fl 1042", " TRK-1042 ", "MAN", "TGX 18.470", 2022, BERLIN, formerly
    )


def truck_registered(
    vin: str = VIN,
    region: VinRegion = VinRegion.NORTH_AMERICA,
    *,
    check_digit_valid: bool = True,
    formerly: VehicleId | None = None,
) -> VehicleRegistered:
    return VehicleRegistered(
        vin=Vin(vin),
        vin_region=region,
        check_digit_valid=check_digit_valid,
        plate="B-FL 1042",
        asset_number="TRK-1042",
        make="MAN",
        model="TGX 18.470",
        model_year=2022,
        site=BERLIN,
        formerly=formerly,
    )


TRUCK = truck_registered()
given: Given[State, VehicleEvent] = Given(evolve, NoVehicle())


def test_a_vehicle_is_registered_as_it_was_said_tidied_up() -> None:
    assert given().when(decide, register_truck(), NOTHING) == [TRUCK]


def test_a_lower_case_vin_is_kept_in_upper_case() -> None:
    assert given().when(decide, register_truck(vin=VIN.lower()), NOTHING) == [TRUCK]


def test_a_trailer_needs_no_vin() -> None:
    events = given().when(decide, register_truck(vin=""), NOTHING)

    assert events == [truck_registered(vin="")]


def test_a_wrong_check_digit_is_refused_in_north_america_and_the_right_one_named() -> None:
    with pytest.raises(VinCheckDigitWrong, match="should be X"):
        given().when(decide, register_truck(vin=WRONG_VIN), NOTHING)


def test_a_wrong_check_digit_is_a_warning_elsewhere() -> None:
    command = register_truck(vin=WRONG_VIN, region=VinRegion.ELSEWHERE)

    events = given().when(decide, command, NOTHING)

    assert events == [truck_registered(WRONG_VIN, VinRegion.ELSEWHERE, check_digit_valid=False)]
    assert warnings_of(evolve(NoVehicle(), events[0])) == ("VIN_CHECK_DIGIT_WRONG",)


def test_a_right_check_digit_gives_no_warning_elsewhere() -> None:
    vehicle = evolve(NoVehicle(), truck_registered(region=VinRegion.ELSEWHERE))

    assert warnings_of(vehicle) == ()


def test_a_malformed_vin_is_refused_everywhere() -> None:
    command = register_truck(vin="TOO SHORT", region=VinRegion.ELSEWHERE)

    with pytest.raises(VinMalformed):
        given().when(decide, command, NOTHING)


def test_a_vehicle_is_registered_once() -> None:
    with pytest.raises(VehicleRegisteredAlready):
        given(TRUCK).when(decide, register_truck(), NOTHING)


def test_a_registration_anew_names_the_vehicle_it_was_before() -> None:
    fleet = Fleet(former=evolve(NoVehicle(), TRUCK))

    events = given().when(decide, register_truck(formerly=VehicleId("old")), fleet)

    assert events == [truck_registered(formerly=VehicleId("old"))]


def test_a_former_vehicle_that_never_was_is_refused() -> None:
    with pytest.raises(FormerVehicleUnknown):
        given().when(decide, register_truck(formerly=VehicleId("nobody")), NOTHING)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (ChangePlate(" b-fl 2042"), PlateChanged("B-FL 2042")),
        (MoveVehicle(HAMBURG), VehicleMoved(HAMBURG)),
        (ChangeAssetNumber("TRK-2042 "), AssetNumberChanged("TRK-2042")),
        (SellVehicle(), VehicleSold()),
    ],
)
def test_a_vehicle_changes(command: Change, event: VehicleEvent) -> None:
    assert given(TRUCK).when(decide, command, NOTHING) == [event]


@pytest.mark.parametrize(
    "command", [ChangePlate("b-fl 1042"), MoveVehicle(BERLIN), ChangeAssetNumber("TRK-1042")]
)
def test_what_is_so_already_needs_no_event(command: Change) -> None:
    assert given(TRUCK).when(decide, command, NOTHING) == []


CHANGES: list[Change] = [
    ChangePlate("B-FL 2042"),
    MoveVehicle(HAMBURG),
    ChangeAssetNumber("TRK-2042"),
    SellVehicle(),
]


@pytest.mark.parametrize("command", CHANGES)
def test_a_sold_vehicle_changes_no_more(command: Change) -> None:
    with pytest.raises(VehicleSoldAlready):
        given(TRUCK, VehicleSold()).when(decide, command, NOTHING)


@pytest.mark.parametrize("command", CHANGES)
def test_nothing_happens_to_a_vehicle_that_is_not_there(command: Change) -> None:
    with pytest.raises(VehicleNotFound):
        given().when(decide, command, NOTHING)


def test_a_vehicle_is_what_its_events_add_up_to() -> None:
    changes: list[VehicleEvent] = [
        PlateChanged("P"),
        VehicleMoved(HAMBURG),
        AssetNumberChanged("A"),
        VehicleSold(),
    ]

    vehicle: State = evolve(NoVehicle(), TRUCK)
    for event in changes:
        vehicle = evolve(vehicle, event)

    assert vehicle == Vehicle(
        vin=Vin(VIN),
        vin_region=VinRegion.NORTH_AMERICA,
        plate="P",
        asset_number="A",
        make="MAN",
        model="TGX 18.470",
        model_year=2022,
        site=HAMBURG,
        formerly=None,
        sold=True,
    )
    assert site(vehicle) == HAMBURG


def test_a_vin_is_claimed_until_the_vehicle_is_sold() -> None:
    truck = evolve(NoVehicle(), TRUCK)

    assert claims(truck) == {Claim("vin", VIN)}
    assert claims(evolve(truck, VehicleSold())) == set()


def test_a_vehicle_without_vin_claims_none() -> None:
    assert claims(NoVehicle()) == set()
    assert claims(evolve(NoVehicle(), truck_registered(vin=""))) == set()


def test_whoever_has_the_vin_already_is_named() -> None:
    holder = UUID(int=42)

    refusal = taken("vin", VIN, holder)

    assert isinstance(refusal, VinAlreadyRegistered)
    assert refusal.facts == {"vehicle_id": f"vehicles/{holder}"}


def test_a_vehicle_may_belong_to_no_site() -> None:
    assert site(NoVehicle()) == ""


EVENTS = strategies.one_of(
    strategies.builds(
        VehicleRegistered,
        vin=strategies.sampled_from([Vin(""), Vin(VIN)]),
        site=strategies.sampled_from([BERLIN, None]),
        formerly=strategies.none(),
    ),
    strategies.builds(PlateChanged),
    strategies.builds(VehicleMoved, site=strategies.just(HAMBURG)),
    strategies.builds(AssetNumberChanged),
    strategies.builds(VehicleSold),
)


@over(strategies.lists(EVENTS))
def test_the_past_is_not_open_to_debate(events: list[VehicleEvent]) -> None:
    vehicle: State = NoVehicle()

    for event in events:
        vehicle = evolve(vehicle, event)

    assert isinstance(site(vehicle), str)
    assert {claim.scope for claim in claims(vehicle)} <= VEHICLE.scopes


def warnings_of(vehicle: State) -> tuple[str, ...]:
    assert isinstance(vehicle, Vehicle)
    return vehicle.warnings
