"""Vehicles: what may happen to one, and what follows."""

from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never
from uuid import UUID

from eventstore.decider import Decider
from eventstore.store import Claim
from kernel.errors import DomainError, Violation
from vehicle.domain.errors import (
    FormerVehicleUnknown,
    VehicleNotFound,
    VehicleRegisteredAlready,
    VehicleSoldAlready,
    VinAlreadyRegistered,
    VinCheckDigitWrong,
)
from vehicle.domain.values import (
    NO_VIN,
    SiteId,
    VehicleId,
    Vin,
    VinRegion,
    check_digit,
    has_valid_check_digit,
    parse_vin,
)

CHECK_DIGIT_WARNING = "VIN_CHECK_DIGIT_WRONG"
VIN_SCOPE = "vin"


@dataclass(frozen=True, slots=True)
class RegisterVehicle:
    vin: str
    vin_region: VinRegion
    plate: str
    asset_number: str
    make: str
    model: str
    model_year: int
    site: SiteId | None
    formerly: VehicleId | None


@dataclass(frozen=True, slots=True)
class ChangePlate:
    plate: str


@dataclass(frozen=True, slots=True)
class MoveVehicle:
    site: SiteId


@dataclass(frozen=True, slots=True)
class ChangeAssetNumber:
    asset_number: str


@dataclass(frozen=True, slots=True)
class SellVehicle:
    pass


@dataclass(frozen=True, slots=True)
class VehicleRegistered:
    vin: Vin
    vin_region: VinRegion
    check_digit_valid: bool
    plate: str
    asset_number: str
    make: str
    model: str
    model_year: int
    site: SiteId | None
    formerly: VehicleId | None


@dataclass(frozen=True, slots=True)
class PlateChanged:
    plate: str


@dataclass(frozen=True, slots=True)
class VehicleMoved:
    site: SiteId


@dataclass(frozen=True, slots=True)
class AssetNumberChanged:
    asset_number: str


@dataclass(frozen=True, slots=True)
class VehicleSold:
    pass


Change: TypeAlias = ChangePlate | MoveVehicle | ChangeAssetNumber | SellVehicle
Command: TypeAlias = RegisterVehicle | Change
VehicleEvent: TypeAlias = (
    VehicleRegistered | PlateChanged | VehicleMoved | AssetNumberChanged | VehicleSold
)


@dataclass(frozen=True, slots=True)
class NoVehicle:
    pass


@dataclass(frozen=True, slots=True)
class Vehicle:
    vin: Vin
    vin_region: VinRegion
    plate: str
    asset_number: str
    make: str
    model: str
    model_year: int
    site: SiteId | None
    formerly: VehicleId | None
    warnings: tuple[str, ...] = ()
    sold: bool = False


State: TypeAlias = NoVehicle | Vehicle


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the rule needs of other vehicles: the one that a re-registration names."""

    former: State = NoVehicle()


def decide(command: Command, vehicle: State, fleet: Fleet) -> list[VehicleEvent]:
    if isinstance(command, RegisterVehicle):
        return register(command, vehicle, fleet)
    return change(command, existing(vehicle))


def existing(vehicle: State) -> Vehicle:
    if isinstance(vehicle, NoVehicle):
        raise VehicleNotFound("there is no such vehicle")
    return vehicle


def register(command: RegisterVehicle, vehicle: State, fleet: Fleet) -> list[VehicleEvent]:
    if isinstance(vehicle, Vehicle):
        raise VehicleRegisteredAlready("the vehicle is registered already")
    if command.formerly is not None and isinstance(fleet.former, NoVehicle):
        raise FormerVehicleUnknown(
            "the vehicle it was before is not in the fleet",
            violations=[Violation("/formerly", "is not a vehicle of the fleet")],
        )
    vin = parse_vin(command.vin)
    valid = has_valid_check_digit(vin)
    if not valid and command.vin_region is VinRegion.NORTH_AMERICA:
        raise _wrong_check_digit(vin)
    return [
        VehicleRegistered(
            vin=vin,
            vin_region=command.vin_region,
            check_digit_valid=valid,
            plate=_plate(command.plate),
            asset_number=command.asset_number.strip(),
            make=command.make,
            model=command.model,
            model_year=command.model_year,
            site=command.site,
            formerly=command.formerly,
        )
    ]


def change(command: Change, vehicle: Vehicle) -> list[VehicleEvent]:
    """What is as it should be already needs no event."""
    if vehicle.sold:
        raise VehicleSoldAlready("the vehicle was sold")
    match command:
        case ChangePlate(plate):
            changed = _plate(plate) != vehicle.plate
            return [PlateChanged(_plate(plate))] if changed else []
        case MoveVehicle(site):
            return [VehicleMoved(site)] if site != vehicle.site else []
        case ChangeAssetNumber(number):
            changed = number.strip() != vehicle.asset_number
            return [AssetNumberChanged(number.strip())] if changed else []
        case SellVehicle():
            return [VehicleSold()]
        case _:
            assert_never(command)


def evolve(vehicle: State, event: VehicleEvent) -> State:
    if isinstance(event, VehicleRegistered):
        return _registered(event)
    return vehicle if isinstance(vehicle, NoVehicle) else _changed(vehicle, event)


def claims(vehicle: State) -> set[Claim]:
    """A VIN is in the fleet once, until it is sold."""
    if isinstance(vehicle, NoVehicle) or vehicle.sold or vehicle.vin == NO_VIN:
        return set()
    return {Claim(VIN_SCOPE, vehicle.vin)}


def taken(scope: str, key: str, holder: UUID) -> DomainError:
    return VinAlreadyRegistered(
        "a vehicle with this VIN is in the fleet already", vehicle_id=f"vehicles/{holder}"
    )


def site(vehicle: State) -> str:
    return "" if isinstance(vehicle, NoVehicle) else vehicle.site or ""


def _registered(event: VehicleRegistered) -> Vehicle:
    return Vehicle(
        vin=event.vin,
        vin_region=event.vin_region,
        plate=event.plate,
        asset_number=event.asset_number,
        make=event.make,
        model=event.model,
        model_year=event.model_year,
        site=event.site,
        formerly=event.formerly,
        warnings=() if event.check_digit_valid else (CHECK_DIGIT_WARNING,),
    )


def _changed(
    vehicle: Vehicle, event: PlateChanged | VehicleMoved | AssetNumberChanged | VehicleSold
) -> Vehicle:
    match event:
        case PlateChanged(plate):
            return replace(vehicle, plate=plate)
        case VehicleMoved(to):
            return replace(vehicle, site=to)
        case AssetNumberChanged(number):
            return replace(vehicle, asset_number=number)
        case VehicleSold():
            return replace(vehicle, sold=True)
        case _:
            assert_never(event)


def _wrong_check_digit(vin: Vin) -> VinCheckDigitWrong:
    detail = f"has a wrong check digit: the ninth sign should be {check_digit(vin)}"
    return VinCheckDigitWrong(f"the VIN {detail}", violations=[Violation("/vin", detail)])


def _plate(text: str) -> str:
    return text.strip().upper()


VEHICLE: Decider[Command, State, VehicleEvent, Fleet] = Decider(
    initial=NoVehicle(),
    decide=decide,
    evolve=evolve,
    claims=claims,
    scopes=frozenset({VIN_SCOPE}),
    taken=taken,
    site=site,
)
