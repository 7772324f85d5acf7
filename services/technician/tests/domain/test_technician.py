from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given as over
from hypothesis import strategies

from eventstore.store import Claim
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
from technician.domain.technician import (
    TECHNICIAN,
    CertificationGranted,
    CertificationRevoked,
    Change,
    Command,
    GrantCertification,
    LeaveCompany,
    MoveTechnician,
    NoTechnician,
    RegisterTechnician,
    RenameTechnician,
    RevokeCertification,
    State,
    Technician,
    TechnicianEvent,
    TechnicianLeft,
    TechnicianMoved,
    TechnicianRegistered,
    TechnicianRenamed,
    claims,
    decide,
    evolve,
    site,
    taken,
)
from technician.domain.values import Certification, SiteId
from testkit.given import Given

BERLIN, HAMBURG = SiteId("berlin"), SiteId("hamburg")
ADA, MARRIED_ADA, WHY = (
    Personal("technicians/ada", text) for text in ("Ada Nowak", "Ada Kowalska", "not finished")
)
NEW_YEAR, SPRING, SUMMER, AUTUMN, NEXT_YEAR = (
    datetime(*day, tzinfo=UTC)
    for day in ((2026, 1, 1), (2026, 3, 20), (2026, 6, 21), (2026, 9, 22), (2027, 1, 1))
)
NOW = AUTUMN

REGISTERED = TechnicianRegistered(ADA, BERLIN, "T-0042")
BRAKES = CertificationGranted("BRAKES", NEW_YEAR, NEXT_YEAR)
given: Given[State, TechnicianEvent] = Given(evolve, NoTechnician())


def revoke(at: datetime | None, code: str = "BRAKES") -> RevokeCertification:
    return RevokeCertification(code, WHY, at)


def technician_after(*events: TechnicianEvent) -> Technician:
    state: State = NoTechnician()
    for event in events:
        state = evolve(state, event)
    assert isinstance(state, Technician)
    return state


def test_a_technician_is_registered() -> None:
    command = RegisterTechnician(ADA, BERLIN, " T-0042 ")

    assert given().when(decide, command, NOW) == [REGISTERED]


def test_a_technician_is_registered_once() -> None:
    with pytest.raises(TechnicianRegisteredAlready):
        given(REGISTERED).when(decide, RegisterTechnician(ADA, BERLIN, "T-0042"), NOW)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (RenameTechnician(MARRIED_ADA), TechnicianRenamed(MARRIED_ADA)),
        (MoveTechnician(HAMBURG), TechnicianMoved(HAMBURG)),
        (GrantCertification("BRAKES", NEW_YEAR, NEXT_YEAR), BRAKES),
        (GrantCertification("HV", NEW_YEAR), CertificationGranted("HV", NEW_YEAR, None)),
        (LeaveCompany(), TechnicianLeft()),
    ],
)
def test_a_technician_changes(command: Change, event: TechnicianEvent) -> None:
    assert given(REGISTERED).when(decide, command, NOW) == [event]


def test_what_is_so_already_needs_no_event() -> None:
    ada = given(REGISTERED, BRAKES)

    assert ada.when(decide, MoveTechnician(BERLIN), NOW) == []
    assert ada.when(decide, GrantCertification("BRAKES", NEW_YEAR, NEXT_YEAR), NOW) == []


@pytest.mark.parametrize("end", [NEW_YEAR, SPRING])
def test_a_certification_ends_after_it_begins(end: datetime) -> None:
    with pytest.raises(CertificationEndsBeforeItBegins) as refused:
        given(REGISTERED).when(decide, GrantCertification("BRAKES", SPRING, end), NOW)

    assert [violation.pointer for violation in refused.value.violations] == ["/expiresAt"]


CHANGES: list[Change] = [
    RenameTechnician(MARRIED_ADA),
    MoveTechnician(HAMBURG),
    GrantCertification("BRAKES", NEW_YEAR),
    LeaveCompany(),
]


@pytest.mark.parametrize("command", CHANGES)
def test_one_who_left_changes_no_more(command: Change) -> None:
    with pytest.raises(TechnicianInactive):
        given(REGISTERED, TechnicianLeft()).when(decide, command, NOW)


@pytest.mark.parametrize("command", [*CHANGES, revoke(NOW)])
def test_nothing_happens_to_a_technician_who_is_not_there(command: Command) -> None:
    with pytest.raises(TechnicianNotFound):
        given().when(decide, command, NOW)


def test_a_certification_is_revoked_from_now_on_if_nothing_else_is_said() -> None:
    events = given(REGISTERED, BRAKES).when(decide, revoke(None), NOW)

    assert events == [CertificationRevoked("BRAKES", NOW, WHY)]


def test_a_certification_is_revoked_for_a_time_past() -> None:
    events = given(REGISTERED, BRAKES).when(decide, revoke(SPRING), NOW)

    assert events == [CertificationRevoked("BRAKES", SPRING, WHY)]


def test_a_certification_of_one_who_left_is_revoked_too() -> None:
    events = given(REGISTERED, BRAKES, TechnicianLeft()).when(decide, revoke(SPRING), NOW)

    assert events == [CertificationRevoked("BRAKES", SPRING, WHY)]


def test_a_revocation_is_moved_to_an_earlier_time_never_to_a_later_one() -> None:
    ada = given(REGISTERED, BRAKES, CertificationRevoked("BRAKES", SUMMER, WHY))

    assert ada.when(decide, revoke(SPRING), NOW) == [CertificationRevoked("BRAKES", SPRING, WHY)]
    with pytest.raises(CertificationNotHeld):
        ada.when(decide, revoke(AUTUMN), NOW)


@pytest.mark.parametrize(
    "events",
    [
        [REGISTERED],
        [REGISTERED, CertificationGranted("HV", NEW_YEAR, None)],
        [REGISTERED, CertificationGranted("BRAKES", NEW_YEAR, SPRING)],
        [REGISTERED, BRAKES, CertificationRevoked("BRAKES", SUMMER, WHY)],
    ],
    ids=["never granted", "another granted", "expired before", "revoked before"],
)
def test_what_is_not_held_cannot_be_revoked(events: list[TechnicianEvent]) -> None:
    with pytest.raises(CertificationNotHeld) as refused:
        given(*events).when(decide, revoke(SUMMER), NOW)

    assert refused.value.facts == {"code": "BRAKES", "revoked_at": SUMMER.isoformat()}


def test_a_technician_is_what_the_events_add_up_to() -> None:
    ada = technician_after(
        REGISTERED,
        BRAKES,
        CertificationGranted("HV", NEW_YEAR, None),
        CertificationRevoked("BRAKES", SUMMER, WHY),
        TechnicianRenamed(MARRIED_ADA),
        TechnicianMoved(HAMBURG),
        TechnicianLeft(),
    )

    assert ada == Technician(
        display_name=MARRIED_ADA,
        site=HAMBURG,
        personnel_number="T-0042",
        certifications=(
            Certification("BRAKES", NEW_YEAR, NEXT_YEAR, SUMMER),
            Certification("HV", NEW_YEAR),
        ),
        active=False,
    )
    assert site(ada) == HAMBURG


def test_a_technician_is_granted_as_many_certifications_as_fit() -> None:
    granted = [CertificationGranted(f"C-{number}", NEW_YEAR, None) for number in range(200)]
    one_more = GrantCertification("HV", NEW_YEAR)

    assert given(REGISTERED, *granted[1:]).when(decide, one_more, NOW)
    with pytest.raises(TooManyCertifications):
        given(REGISTERED, *granted).when(decide, one_more, NOW)


def test_a_certification_granted_again_stands_beside_the_one_before() -> None:
    renewed = CertificationGranted("BRAKES", AUTUMN, None)

    ada = technician_after(REGISTERED, BRAKES, CertificationRevoked("BRAKES", SUMMER, WHY), renewed)

    assert ada.certifications == (
        Certification("BRAKES", NEW_YEAR, NEXT_YEAR, SUMMER),
        Certification("BRAKES", AUTUMN),
    )


def test_a_revocation_ends_every_grant_that_lasts_beyond_it() -> None:
    expired = CertificationGranted("BRAKES", NEW_YEAR, SPRING)

    ada = technician_after(REGISTERED, expired, BRAKES, CertificationRevoked("BRAKES", SUMMER, WHY))

    assert ada.certifications == (
        Certification("BRAKES", NEW_YEAR, SPRING),
        Certification("BRAKES", NEW_YEAR, NEXT_YEAR, SUMMER),
    )


def test_a_personnel_number_is_claimed_until_he_or_she_leaves() -> None:
    assert claims(technician_after(REGISTERED)) == {Claim("personnel-number", "T-0042")}
    assert claims(technician_after(REGISTERED, TechnicianLeft())) == set()
    assert claims(NoTechnician()) == set()


def test_whoever_has_the_personnel_number_is_named() -> None:
    holder = UUID(int=42)

    refusal = taken("personnel-number", "T-0042", holder)

    assert isinstance(refusal, PersonnelNumberTaken)
    assert refusal.facts == {"technician_id": f"technicians/{holder}"}


DAYS = strategies.sampled_from([NEW_YEAR, SPRING, SUMMER, AUTUMN, NEXT_YEAR])
CODES = strategies.sampled_from(["BRAKES", "HV"])
EVENTS = strategies.one_of(
    strategies.just(REGISTERED),
    strategies.just(TechnicianRenamed(MARRIED_ADA)),
    strategies.just(TechnicianMoved(HAMBURG)),
    strategies.builds(CertificationGranted, CODES, DAYS, strategies.none() | DAYS),
    strategies.builds(CertificationRevoked, CODES, DAYS, strategies.just(WHY)),
    strategies.just(TechnicianLeft()),
)


@over(strategies.lists(EVENTS))
def test_the_past_is_not_open_to_debate(events: list[TechnicianEvent]) -> None:
    technician: State = NoTechnician()

    for event in events:
        technician = evolve(technician, event)

    assert site(technician) in {"", BERLIN, HAMBURG}
    assert {claim.scope for claim in claims(technician)} <= TECHNICIAN.scopes
