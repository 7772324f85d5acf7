# mypy: disable-error-code="arg-type,var-annotated"
"""A tenant's people, from the first day to the last, as those who ask see them."""

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from runtime.database import rows
from testkit.grpc_service import HOST

if TYPE_CHECKING:
    from services.technician.tests.adapters.conftest import Office, Opening

pytestmark = pytest.mark.integration

RACERS = 20
ALL = SQL("SELECT t::text FROM {} t")
STORED = "SELECT data, meta FROM es.event WHERE tenant = %s"


async def test_a_technician_is_registered_and_changes_until_he_or_she_leaves(
    office: "Office",
) -> None:
    elsewhere = office.site.replace("sites/0", "sites/1")
    ada = await office.registered("T-0042")
    await office.changed(ada, "GrantCertification", code="HV", valid_from=office.long_ago)
    await office.changed(ada, "RenameTechnician", display_name="Ada Kowalska")
    await office.changed(ada, "MoveTechnician", site=elsewhere)

    left = await office.changed(ada, "LeaveCompany", etag="4")
    refused = await office.refusal("MoveTechnician", name=ada.name, site=office.site)

    assert (ada.display_name, ada.site, ada.etag, ada.active) == (
        "Ada Nowak",
        office.site,
        "1",
        True,
    )
    assert (left.display_name, left.site, left.etag, left.active) == (
        "Ada Kowalska",
        elsewhere,
        "5",
        False,
    )
    assert [each.code for each in left.certifications] == ["HV"]
    assert refused.reason == "TECHNICIAN_INACTIVE"
    assert (await office.ask("GetTechnician", name=ada.name)).message == left


async def test_without_the_keyring_no_name_is_sealed_or_opened_and_the_rest_goes_on(
    opening: "Opening",
) -> None:
    async with opening() as office:
        ada = await office.registered("T-0042")
    async with opening(keyring=f"{HOST}:1") as keyless:
        keyless.tenant = office.tenant
        sealed = await keyless.refusal(
            "RegisterTechnician", display_name="Ben", site=office.site, personnel_number="T-0043"
        )
        opened = await keyless.refusal("GetTechnician", name=ada.name)
        failing = await keyless.running.service.probes.failing()
        workload = await keyless.ask("GetWorkload", name=ada.name)

    assert (sealed.reason, opened.reason) == ("KEYRING_UNAVAILABLE",) * 2
    assert failing == {"keyring": "KeyringUnavailable: the keyring does not answer"}
    assert workload.message.name == f"{ada.name}/workload"


@pytest.mark.parametrize("number", ["   ", " T-0042", "T-0042 "])
async def test_a_personnel_number_has_no_blanks_around_it(office: "Office", number: str) -> None:
    refused = await office.refusal(
        "RegisterTechnician", display_name="Ada Nowak", site=office.site, personnel_number=number
    )

    assert refused.reason == "REQUEST_INVALID"
    assert [each.pointer for each in refused.violations] == ["/personnelNumber"]


async def test_text_that_no_database_stores_is_refused_where_it_stands(office: "Office") -> None:
    refused = await office.refusal(
        "RegisterTechnician",
        display_name="Ada\0Nowak",
        site=office.site,
        personnel_number="T-0042",
    )

    assert [(each.pointer, each.detail) for each in refused.violations] == [
        ("/displayName", "contains the character U+0000")
    ]


async def test_a_request_sent_twice_answers_the_same_person_and_happens_once(
    office: "Office",
) -> None:
    asked = {"display_name": "Ada Nowak", "site": office.site, "personnel_number": "T-0042"}

    first = await office.ask("RegisterTechnician", request_id="sent-twice", **asked)
    again = await office.ask("RegisterTechnician", request_id="sent-twice", **asked)

    assert (first.message, first.replayed) == (again.message, not again.replayed)
    assert len(await _stored(office)) == 1


async def test_a_certification_is_revoked_for_a_time_past(office: "Office") -> None:
    ada = await office.registered("T-0042")
    ended = office.long_ago + timedelta(days=90)
    await office.changed(ada, "GrantCertification", code="BRAKES", valid_from=office.long_ago)

    revoked = await office.changed(
        ada, "RevokeCertification", code="BRAKES", revoked_at=ended, reason="Not finished"
    )
    again = await office.refusal(
        "RevokeCertification", name=ada.name, code="BRAKES", reason="Not finished"
    )

    [held] = revoked.certifications
    assert held.revoked_at.ToDatetime() == ended.replace(tzinfo=None)
    assert again.reason == "CERTIFICATION_NOT_HELD"


async def test_those_are_listed_who_are_certified_today(office: "Office") -> None:
    later = office.long_ago + timedelta(days=90)
    numbers = ("holds", "never held", "not yet", "expired", "revoked", "left")
    people = {number: await office.registered(number) for number in numbers}
    in_a_century = office.long_ago + timedelta(days=36_500)
    terms = {
        "holds": {"valid_from": later},
        "not yet": {"valid_from": in_a_century},
        "expired": {"valid_from": office.long_ago, "expires_at": later},
        "revoked": {"valid_from": office.long_ago},
        "left": {"valid_from": office.long_ago},
    }
    for number, term in terms.items():
        await office.changed(people[number], "GrantCertification", code="BRAKES", **term)
    await office.changed(people["never held"], "GrantCertification", code="HV", valid_from=later)
    await office.changed(
        people["revoked"], "RevokeCertification", code="BRAKES", revoked_at=later, reason="Why"
    )
    await office.changed(people["left"], "LeaveCompany")
    await office.feed.drain()

    certified = await office.listed(certification="BRAKES")
    also_left = await office.listed(certification="BRAKES", include_inactive=True)

    assert certified == ["holds"]
    assert also_left == ["holds", "left"]
    assert await office.listed(certification="TYRES") == []


async def test_pages_follow_each_other_without_a_gap_or_a_repetition(office: "Office") -> None:
    for number in ("T-5", "T-3", "T-1", "T-4", "T-2"):
        await office.registered(number)
    await office.feed.drain()

    seen, token = [], ""
    while token or not seen:
        reply = await office.ask("ListTechnicians", page_size=2, page_token=token)
        seen.append([each.personnel_number for each in reply.message.technicians])
        token = reply.message.next_page_token

    assert seen == [["T-1", "T-2"], ["T-3", "T-4"], ["T-5"]]


async def test_a_page_token_is_good_for_its_own_query(office: "Office") -> None:
    await office.registered("T-1")
    await office.registered("T-2")
    await office.feed.drain()
    token = (await office.ask("ListTechnicians", page_size=1)).message.next_page_token

    refused = await office.refusal("ListTechnicians", page_token=token, site=office.site)

    assert refused.reason == "PAGE_TOKEN_UNREADABLE"


async def test_who_has_just_registered_somebody_finds_him_or_her_in_the_list(
    office: "Office",
) -> None:
    asked = {"display_name": "Ada Nowak", "site": office.site, "personnel_number": "T-0042"}
    reply = await office.ask("RegisterTechnician", **asked)
    await office.feed.drain()

    page = (await office.ask("ListTechnicians", after=reply.position)).message

    assert list(page.technicians) == [reply.message]


async def test_twenty_register_one_personnel_number_and_one_wins(office: "Office") -> None:
    won, lost = await office.race(
        office.registered("T-0042", name=f"Racer {number}") for number in range(RACERS)
    )

    assert len(won) == 1
    assert Counter(each.reason for each in lost) == {"PERSONNEL_NUMBER_TAKEN": RACERS - 1}
    assert {each.facts["technician_id"] for each in lost} == {won[0].name}
    assert len(await _stored(office)) == 1


async def test_another_tenant_sees_nobody(office: "Office") -> None:
    ada = await office.registered("T-0042")
    await office.feed.drain()
    stranger = office.person("service_manager", tenant="another")

    refused = [
        await office.refusal("GetTechnician", by=stranger, name=ada.name),
        await office.refusal("GetWorkload", by=stranger, name=ada.name),
        await office.refusal("LeaveCompany", by=stranger, name=ada.name),
    ]

    assert [each.reason for each in refused] == ["TECHNICIAN_NOT_FOUND"] * 3
    assert await office.listed(by=stranger) == []
    assert await office.listed() == ["T-0042"]


async def test_staff_see_and_change_the_people_of_their_sites_only(office: "Office") -> None:
    elsewhere = office.site.replace("sites/0", "sites/1")
    here, there = await office.registered("T-1"), await office.registered("T-2", site=elsewhere)
    await office.feed.drain()
    manager = office.person("service_manager", sites=(office.site.removeprefix("sites/"),))

    refused = [
        await office.refusal("GetTechnician", by=manager, name=there.name),
        await office.refusal("LeaveCompany", by=manager, name=there.name),
        await office.refusal("MoveTechnician", by=manager, name=here.name, site=elsewhere),
    ]

    assert {each.reason for each in refused} == {"PERMISSION_DENIED"}
    assert await office.listed(by=manager) == ["T-1"]
    assert await office.listed(by=manager, site=elsewhere) == []
    assert await office.listed(site=elsewhere) == ["T-2"]


async def test_a_technician_sees_himself_or_herself_and_nobody_else(office: "Office") -> None:
    ada, bo = await office.registered("T-1"), await office.registered("T-2", name="Bo")
    myself = office.person("technician", technician=ada.name)

    refused = [
        await office.refusal("GetTechnician", by=myself, name=bo.name),
        await office.refusal("GetWorkload", by=myself, name=bo.name),
        await office.refusal("ListTechnicians", by=myself),
        await office.refusal("RenameTechnician", by=myself, name=ada.name, display_name="Boss"),
    ]

    assert {each.reason for each in refused} == {"PERMISSION_DENIED"}
    assert (await office.ask("GetTechnician", by=myself, name=ada.name)).message == ada
    workload = (await office.ask("GetWorkload", by=myself, name=ada.name)).message
    assert workload.name == f"{ada.name}/workload"


async def test_names_and_reasons_are_kept_sealed_and_read_back_in_words(office: "Office") -> None:
    ada = await office.registered("T-0042", name="Ada Nowak")
    await office.changed(ada, "RenameTechnician", display_name="Ada Kowalska")
    await office.changed(ada, "GrantCertification", code="HV", valid_from=office.long_ago)
    await office.changed(ada, "RevokeCertification", code="HV", reason="Course not finished")
    await office.feed.drain()

    stored = b"".join(await _stored(office))
    async with office.running.projector.connection() as connection:
        found = await connection.execute(ALL.format(Identifier("read", "technician")))
        listed = "".join(row for (row,) in await found.fetchall())
    page = (await office.ask("ListTechnicians")).message

    assert b"HV" in stored
    assert "T-0042" in listed
    for words in ("Nowak", "Kowalska", "finished"):
        assert words.encode() not in stored
        assert words not in listed
    assert [each.display_name for each in page.technicians] == ["Ada Kowalska"]
    read = (await office.ask("GetTechnician", name=ada.name)).message
    assert read.display_name == "Ada Kowalska"


async def test_the_role_for_requests_has_no_rights_on_the_log(office: "Office") -> None:
    await office.registered("T-0042")

    for table in ("event", "idem", "claim", "head"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with office.running.app.connection() as connection:
                await connection.execute(ALL.format(Identifier("es", table)))


async def test_without_a_tenant_there_are_no_rows(office: "Office") -> None:
    await office.registered("T-0042")
    await office.feed.drain()

    for table in ("technician", "job", "clock"):
        async with office.running.app.connection() as connection:
            found = await connection.execute(ALL.format(Identifier("read", table)))
            assert await found.fetchall() == [], table
    query = "SELECT personnel_number FROM read.technician"
    assert await rows(office.running.app, office.tenant, query) == [("T-0042",)]
    assert await rows(office.running.app, "another", query) == []


async def _stored(office: "Office") -> list[bytes]:
    """Each event of the tenant as the store has it."""
    async with office.running.relay.connection() as connection:
        found = await connection.execute(STORED, (office.tenant,))
        return [data + meta for data, meta in await found.fetchall()]
