"""Who may change whom, and what is decided on."""

from datetime import timedelta

import pytest

from eventstore.decider import StaleVersion
from services.technician.tests.application.people import (
    BERLIN,
    HAMBURG,
    NOON,
    STRANGER,
    NotAllowed,
    Person,
    Staff,
    said,
)
from technician.domain.errors import PersonnelNumberTaken, TechnicianNotFound
from technician.domain.technician import (
    CertificationRevoked,
    GrantCertification,
    LeaveCompany,
    MoveTechnician,
    RegisterTechnician,
    RenameTechnician,
    RevokeCertification,
    Technician,
)
from technician.domain.values import Certification, SiteId

BREMEN = SiteId("bremen")


async def test_who_is_registered_works_here(staff: Staff) -> None:
    command = RegisterTechnician(said("Ada"), BERLIN, "T-0042")

    answer = await staff.run(command, staff.new())

    assert answer.state == Technician(said("Ada"), BERLIN, "T-0042")
    assert (answer.version, answer.replayed) == (1, False)


async def test_whoever_registers_has_a_say_at_that_site(staff: Staff) -> None:
    manager = Person()

    await staff.run(RegisterTechnician(said("Ada"), BERLIN, "T-0042"), staff.new(), manager)

    assert manager.required == [(BERLIN, "")]
    with pytest.raises(NotAllowed):
        await staff.run(RegisterTechnician(said("Bo"), BERLIN, "T-1"), staff.new(), STRANGER)


async def test_whoever_changes_a_technician_has_a_say_where_he_or_she_works(staff: Staff) -> None:
    ada, manager = await staff.ada(), Person(sites=(BERLIN,))

    await staff.run(RenameTechnician(said("Ada Kowalska")), ada, manager)

    assert manager.required == [(BERLIN, ada)]
    with pytest.raises(NotAllowed):
        await staff.run(LeaveCompany(), ada, STRANGER)


@pytest.mark.parametrize("sites", [(BERLIN,), (HAMBURG,)])
async def test_a_move_needs_a_say_at_both_sites(staff: Staff, sites: tuple[SiteId, ...]) -> None:
    ada = await staff.ada()

    with pytest.raises(NotAllowed):
        await staff.run(MoveTechnician(HAMBURG), ada, Person(sites=sites))
    moved = await staff.run(MoveTechnician(HAMBURG), ada, Person(sites=(BERLIN, HAMBURG)))

    assert moved.state == Technician(said("Ada"), HAMBURG, "T-0042")


async def test_nobody_changes_a_technician_who_is_not_there(staff: Staff) -> None:
    manager = Person()

    with pytest.raises(TechnicianNotFound):
        await staff.run(LeaveCompany(), staff.new(), manager)

    assert manager.required == []


async def test_a_personnel_number_is_given_once_and_free_again_after_leaving(staff: Staff) -> None:
    ada = await staff.ada(number="T-0042")

    with pytest.raises(PersonnelNumberTaken) as refused:
        await staff.ada(HAMBURG, number="T-0042")
    await staff.run(LeaveCompany(), ada)
    bo = await staff.ada(HAMBURG, number="T-0042")

    assert refused.value.facts == {"technician_id": f"technicians/{ada}"}
    assert bo != ada


async def test_a_revocation_without_a_time_counts_from_when_it_was_said(staff: Staff) -> None:
    ada = await staff.ada()
    await staff.run(GrantCertification("BRAKES", NOON), ada)
    staff.clock.advance(timedelta(hours=1))

    answer = await staff.run(RevokeCertification("BRAKES", said("not finished")), ada)

    at = staff.clock.now()
    assert isinstance(answer.state, Technician)
    assert answer.state.certifications == (Certification("BRAKES", NOON, revoked_at=at),)
    stream = await staff.store.read("acme", answer.stream_id)
    assert stream.events[-1].event == CertificationRevoked("BRAKES", at, said("not finished"))


async def test_a_request_sent_twice_answers_twice_and_happens_once(staff: Staff) -> None:
    command = RegisterTechnician(said("Ada"), BERLIN, "T-0042")

    first = await staff.run(command, staff.new(), key="the same key")
    again = await staff.run(command, staff.new(), key="the same key")

    assert (again.stream_id, again.state, again.version) == (
        first.stream_id,
        first.state,
        first.version,
    )
    assert (first.replayed, again.replayed) == (False, True)


async def test_who_saw_an_older_version_decides_again(staff: Staff) -> None:
    ada = await staff.ada()
    await staff.run(RenameTechnician(said("Ada Kowalska")), ada, expected=1)

    with pytest.raises(StaleVersion):
        await staff.run(LeaveCompany(), ada, expected=1)
