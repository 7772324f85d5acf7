"""What the rules of a job need to know of vehicles and technicians, learned from their events."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias, assert_never

from workshop.domain.job.facts import Certification, TechnicianFacts


@dataclass(frozen=True, slots=True)
class VehicleRegistered:
    vin: str
    plate: str


@dataclass(frozen=True, slots=True)
class PlateChanged:
    plate: str


@dataclass(frozen=True, slots=True)
class VehicleSold:
    pass


@dataclass(frozen=True, slots=True)
class TechnicianRegistered:
    pass


@dataclass(frozen=True, slots=True)
class CertificationGranted:
    code: str
    valid_from: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class CertificationRevoked:
    code: str
    revoked_at: datetime


@dataclass(frozen=True, slots=True)
class TechnicianLeft:
    pass


FleetEvent: TypeAlias = VehicleRegistered | PlateChanged | VehicleSold
RosterEvent: TypeAlias = (
    TechnicianRegistered | CertificationGranted | CertificationRevoked | TechnicianLeft
)


@dataclass(frozen=True, slots=True)
class KnownVehicle:
    vin: str = ""
    plate: str = ""
    sold: bool = False
    registered: bool = True


UNKNOWN_VEHICLE = KnownVehicle(registered=False)
UNKNOWN_TECHNICIAN = TechnicianFacts(known=False)
NEW_TECHNICIAN = TechnicianFacts(known=True)


def learn_of_vehicle(vehicle: KnownVehicle, event: FleetEvent) -> KnownVehicle:
    """What was never heard to be registered stays unknown: a newer release may have said it."""
    if not (vehicle.registered or isinstance(event, VehicleRegistered)):
        return vehicle
    match event:
        case VehicleRegistered(vin, plate):
            return KnownVehicle(vin, plate)
        case PlateChanged(plate):
            return replace(vehicle, plate=plate)
        case VehicleSold():
            return replace(vehicle, sold=True)
        case _:
            assert_never(event)


def learn_of_technician(technician: TechnicianFacts, event: RosterEvent) -> TechnicianFacts:
    """Whoever was never heard to be registered stays unknown: a newer release may have said it."""
    if not (technician.known or isinstance(event, TechnicianRegistered)):
        return technician
    held = technician.certifications
    match event:
        case TechnicianRegistered():
            return NEW_TECHNICIAN
        case CertificationGranted(code, valid_from, expires_at):
            granted = Certification(code, valid_from, expires_at)
            return replace(technician, certifications=(*held, granted))
        case CertificationRevoked(code, at):
            after = tuple(_revoked(each, at) if each.code == code else each for each in held)
            return replace(technician, certifications=after)
        case TechnicianLeft():
            return replace(technician, active=False)
        case _:
            assert_never(event)


def _revoked(certification: Certification, at: datetime) -> Certification:
    """What had ended by then stays as it is."""
    ends = (certification.expires_at, certification.revoked_at)
    lasts = all(end is None or at < end for end in ends)
    return replace(certification, revoked_at=at) if lasts else certification
