"""What is told about technicians, and to whom."""

from datetime import timedelta

import pytest

from services.technician.tests.application.people import (
    BERLIN,
    NOON,
    STRANGER,
    TENANT,
    NotAllowed,
    Person,
    Staff,
    said,
)
from technician.application.queries import After, Found, RosterFilter, Workload
from technician.domain.errors import TechnicianNotFound
from technician.domain.technician import RenameTechnician, Technician

EVERYBODY = RosterFilter(at=NOON)


async def test_a_technician_is_told_as_he_or_she_is_after_the_last_command(staff: Staff) -> None:
    ada, asker = await staff.ada(), Person()
    await staff.run(RenameTechnician(said("Ada Kowalska")), ada)

    found = await staff.queries.get(TENANT, ada, asker)

    opened = Technician(said("Ada Kowalska, opened"), BERLIN, "T-0042")
    assert found == Found(ada, 2, opened)
    assert asker.required == [(BERLIN, ada)]


async def test_a_technician_of_other_sites_is_not_told(staff: Staff) -> None:
    ada = await staff.ada()

    with pytest.raises(NotAllowed):
        await staff.queries.get(TENANT, ada, STRANGER)


async def test_who_is_not_there_or_of_another_tenant_is_not_found(staff: Staff) -> None:
    ada, asker = await staff.ada(), Person()

    for tenant, technician in ((TENANT, staff.new()), ("another", ada)):
        with pytest.raises(TechnicianNotFound):
            await staff.queries.get(tenant, technician, asker)

    assert asker.required == []


async def test_a_page_is_told_in_words_all_opened_at_once(staff: Staff) -> None:
    ada = Found(staff.new(), 3, Technician(said("Ada"), BERLIN, "T-0042"))
    bo = Found(staff.new(), 1, Technician(said("Bo"), BERLIN, "T-0043"))
    staff.roster.found, staff.roster.end = [ada, bo], After("T-0043", bo.id)

    page, end = await staff.queries.page(TENANT, EVERYBODY, 50, None)

    assert page == [
        Found(ada.id, 3, Technician(said("Ada, opened"), BERLIN, "T-0042")),
        Found(bo.id, 1, Technician(said("Bo, opened"), BERLIN, "T-0043")),
    ]
    assert end == After("T-0043", bo.id)
    assert staff.words.asked == [2]


async def test_a_workload_is_told_without_opening_a_word(staff: Staff) -> None:
    ada, asker = await staff.ada(), Person()

    workload = await staff.queries.workload(TENANT, ada, asker)

    assert workload == Workload(0, None, None, timedelta(), 0)
    assert asker.required == [(BERLIN, ada)]
    assert staff.words.asked == []


async def test_a_workload_at_other_sites_is_not_told(staff: Staff) -> None:
    ada = await staff.ada()

    with pytest.raises(NotAllowed):
        await staff.queries.workload(TENANT, ada, STRANGER)
