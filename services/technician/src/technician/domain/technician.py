"""Technicians: what may happen to one, and what follows."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias, assert_never
from uuid import UUID

from eventstore.decider import Decider
from eventstore.store import Claim
from kernel.errors import DomainError, Violation
from kernel.personal import Personal
from technician.domain.errors import (
    CertificationEndsBeforeItBegins,
    CertificationNotHeld,
    PersonnelNumberTaken,
    TechnicianInactive,
    TechnicianNotFound,
    TechnicianRegisteredAlready,
    TooManyCertifications,
)
from technician.domain.values import Certification, SiteId

PERSONNEL_NUMBER_SCOPE = "personnel-number"
MOST_CERTIFICATIONS = 200  # ever granted: each list of technicians shows them all


@dataclass(frozen=True, slots=True)
class RegisterTechnician:
    display_name: Personal
    site: SiteId
    personnel_number: str


@dataclass(frozen=True, slots=True)
class RenameTechnician:
    display_name: Personal


@dataclass(frozen=True, slots=True)
class MoveTechnician:
    site: SiteId


@dataclass(frozen=True, slots=True)
class GrantCertification:
    code: str
    valid_from: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RevokeCertification:
    code: str
    reason: Personal
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LeaveCompany:
    pass


@dataclass(frozen=True, slots=True)
class TechnicianRegistered:
    display_name: Personal
    site: SiteId
    personnel_number: str


@dataclass(frozen=True, slots=True)
class TechnicianRenamed:
    display_name: Personal


@dataclass(frozen=True, slots=True)
class TechnicianMoved:
    site: SiteId


@dataclass(frozen=True, slots=True)
class CertificationGranted:
    code: str
    valid_from: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class CertificationRevoked:
    code: str
    revoked_at: datetime
    reason: Personal


@dataclass(frozen=True, slots=True)
class TechnicianLeft:
    pass


Change: TypeAlias = RenameTechnician | MoveTechnician | GrantCertification | LeaveCompany
Command: TypeAlias = RegisterTechnician | RevokeCertification | Change
Changed: TypeAlias = (
    TechnicianRenamed
    | TechnicianMoved
    | CertificationGranted
    | CertificationRevoked
    | TechnicianLeft
)
TechnicianEvent: TypeAlias = TechnicianRegistered | Changed


@dataclass(frozen=True, slots=True)
class NoTechnician:
    pass


@dataclass(frozen=True, slots=True)
class Technician:
    """`certifications` are all ever granted: a renewal does not end the one before."""

    display_name: Personal
    site: SiteId
    personnel_number: str
    certifications: tuple[Certification, ...] = ()
    active: bool = True


State: TypeAlias = NoTechnician | Technician


def decide(command: Command, technician: State, said_at: datetime) -> list[TechnicianEvent]:
    if isinstance(command, RegisterTechnician):
        return register(command, technician)
    if isinstance(command, RevokeCertification):
        return revoke(command, existing(technician), said_at)
    return change(command, existing(technician))


def existing(technician: State) -> Technician:
    if isinstance(technician, NoTechnician):
        raise TechnicianNotFound("there is no such technician")
    return technician


def register(command: RegisterTechnician, technician: State) -> list[TechnicianEvent]:
    if isinstance(technician, Technician):
        raise TechnicianRegisteredAlready("the technician is registered already")
    number = command.personnel_number.strip()
    return [TechnicianRegistered(command.display_name, command.site, number)]


def revoke(
    command: RevokeCertification, technician: Technician, said_at: datetime
) -> list[TechnicianEvent]:
    """Also for a time past, and also of one who left: what was started meanwhile is looked at."""
    at = command.revoked_at or said_at
    if not any(each.lasts_beyond(at) for each in _with_code(technician, command.code)):
        raise CertificationNotHeld(
            f"{command.code} is not held at {at.isoformat()} or later",
            code=command.code,
            revoked_at=at.isoformat(),
        )
    return [CertificationRevoked(command.code, at, command.reason)]


def change(command: Change, technician: Technician) -> list[TechnicianEvent]:
    """What is as it should be already needs no event."""
    if not technician.active:
        raise TechnicianInactive("the technician left")
    match command:
        case RenameTechnician(display_name):
            return [TechnicianRenamed(display_name)]
        case MoveTechnician(to):
            return [TechnicianMoved(to)] if to != technician.site else []
        case GrantCertification():
            return grant(command, technician)
        case LeaveCompany():
            return [TechnicianLeft()]
        case _:
            assert_never(command)


def grant(command: GrantCertification, technician: Technician) -> list[TechnicianEvent]:
    granted = Certification(command.code, command.valid_from, command.expires_at)
    if granted.expires_at is not None and granted.expires_at <= granted.valid_from:
        raise CertificationEndsBeforeItBegins(
            "a certification ends after it begins",
            violations=[Violation("/expiresAt", "is not after validFrom")],
        )
    if granted in technician.certifications:
        return []
    if len(technician.certifications) >= MOST_CERTIFICATIONS:
        raise TooManyCertifications(
            f"{MOST_CERTIFICATIONS} certifications were granted, and more do not fit",
            most=str(MOST_CERTIFICATIONS),
        )
    return [CertificationGranted(command.code, command.valid_from, command.expires_at)]


def evolve(technician: State, event: TechnicianEvent) -> State:
    if isinstance(event, TechnicianRegistered):
        return Technician(event.display_name, event.site, event.personnel_number)
    return technician if isinstance(technician, NoTechnician) else _changed(technician, event)


def claims(technician: State) -> set[Claim]:
    """A personnel number is given once, until he or she leaves."""
    if isinstance(technician, NoTechnician) or not technician.active:
        return set()
    return {Claim(PERSONNEL_NUMBER_SCOPE, technician.personnel_number)}


def taken(scope: str, key: str, holder: UUID) -> DomainError:
    return PersonnelNumberTaken(
        f"the personnel number {key} is taken", technician_id=f"technicians/{holder}"
    )


def site(technician: State) -> str:
    return "" if isinstance(technician, NoTechnician) else technician.site


def _changed(technician: Technician, event: Changed) -> Technician:
    match event:
        case TechnicianRenamed(display_name):
            return replace(technician, display_name=display_name)
        case TechnicianMoved(to):
            return replace(technician, site=to)
        case CertificationGranted(code, valid_from, expires_at):
            granted = Certification(code, valid_from, expires_at)
            return replace(technician, certifications=(*technician.certifications, granted))
        case CertificationRevoked(code, at):
            return replace(technician, certifications=_revoked(technician, code, at))
        case TechnicianLeft():
            return replace(technician, active=False)
        case _:
            assert_never(event)


def _with_code(technician: Technician, code: str) -> list[Certification]:
    return [each for each in technician.certifications if each.code == code]


def _revoked(technician: Technician, code: str, at: datetime) -> tuple[Certification, ...]:
    return tuple(
        each.revoked(at) if each.code == code else each for each in technician.certifications
    )


TECHNICIAN: Decider[Command, State, TechnicianEvent, datetime] = Decider(
    initial=NoTechnician(),
    decide=decide,
    evolve=evolve,
    claims=claims,
    scopes=frozenset({PERSONNEL_NUMBER_SCOPE}),
    taken=taken,
    site=site,
)
