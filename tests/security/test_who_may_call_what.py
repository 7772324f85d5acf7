"""Every way in, asked by everybody who might try. A new method is tried as soon as it has a proto."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from devstack import topology
from devstack.tokens import ROLES, Person
from kernel.ids import Uuid7
from runtime.identity import Caller
from runtime.policy import Thing
from testkit.surface import EVENT_LOG, action_of
from tests.security.fortress import Attack, Door, Fortress, Outcome, doors, policies_of
from transcoding.descriptors import method_rules

DOORS = doors()
PUBLIC = [door for door in DOORS if not method_rules(door.method).internal]
INTERNAL = [door for door in DOORS if method_rules(door.method).internal]
KEPT_OUT = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
OUR_FAULT = {"INTERNAL", "UNKNOWN", "UNIMPLEMENTED"}
STRANGER = replace(topology.AUDIT, name="stranger")
FOLLOWS: dict[str, tuple[str, ...]] = {
    "bayline.workshop.v1.JobEvent": ("gateway", "audit", "vehicle", "technician"),
    "bayline.workshop.v1.SiteEvent": ("gateway", "audit"),
    "bayline.workshop.v1.TenantEvent": ("gateway", "audit"),
    "bayline.vehicle.v1.VehicleEvent": ("gateway", "audit", "workshop"),
    "bayline.technician.v1.TechnicianEvent": ("gateway", "audit", "workshop"),
    "bayline.keyring.v1.SubjectEvent": ("gateway", "audit", "workshop", "technician"),
}
SHOWS: dict[str, tuple[str, ...]] = dict.fromkeys(FOLLOWS, ("gateway",))
SEALS: dict[str, tuple[str, ...]] = {"jobs": ("workshop",), "technicians": ("technician",)}
MAY_KNOW: dict[str, dict[str, tuple[str, ...]]] = {
    "ReadShard": FOLLOWS,
    "GetHeads": FOLLOWS,
    "ReadTenant": SHOWS,
    "FoldTenant": SHOWS,
    "UnwrapKeys": SEALS,
    "CreateKey": SEALS,
}
"""Of each internal method: which services, about which log or kind of subject."""
OTHER_SITE = str(Uuid7().new())
EVERYBODY = (*ROLES, "visitor")

of_every_door = pytest.mark.parametrize("door", DOORS, ids=str)
of_every_public_door = pytest.mark.parametrize("door", PUBLIC, ids=str)


def _caller(person: Person) -> Caller:
    roles, sites = frozenset(person.roles), frozenset(person.sites)
    return Caller(person.subject, person.tenant, roles, sites, technician=person.technician)


def _may(fortress: Fortress, door: Door, person: Person) -> bool:
    """What the policies say of the thing that the request is about."""
    names = dict(fortress.known.document(door.method))
    about = fortress.thing if _speaks_of(fortress, names) else Thing()
    return policies_of(door.method).allows(_caller(person), action_of(door.method), about)


def _could(door: Door, person: Person) -> bool:
    return policies_of(door.method).could(_caller(person), action_of(door.method))


def _speaks_of(fortress: Fortress, document: object) -> bool:
    text = str(document)
    return any(name in text for name in fortress.known.names.values())


def _people(fortress: Fortress, **other: object) -> Iterable[Person]:
    return [fortress.person(role, **other) for role in EVERYBODY]


def _gives_nothing_away(fortress: Fortress, door: Door, outcome: Outcome) -> bool:
    """Refused; or, where a list or a setting was asked for, an answer with nothing of the tenant."""
    if outcome.code != "OK":
        return outcome.code not in OUR_FAULT
    asked = fortress.known.document(door.method)
    said = set(fortress.guarded_in(outcome.text)) - set(fortress.guarded_in(str(asked)))
    return "name" not in asked and not said


@of_every_door
@pytest.mark.parametrize("token", ["", "x", "e30.e30."], ids=["none", "junk", "unsigned"])
async def test_nobody_is_answered_without_a_good_token(
    attack: Attack, door: Door, token: str
) -> None:
    assert (await attack.ask(door, token)).code == "UNAUTHENTICATED"


@of_every_public_door
async def test_a_role_has_the_rights_that_the_policies_give_it_and_no_other(
    attack: Attack, fortress: Fortress, door: Door
) -> None:
    wrong = []
    for person in _people(fortress):
        outcome = await attack.ask(door, fortress.token(person))
        expected = (
            _may(fortress, door, person) if _names_it(fortress, door) else _could(door, person)
        )
        if (outcome.code in KEPT_OUT) is expected or outcome.code in OUR_FAULT:
            wrong.append((person.roles, outcome))

    assert wrong == []


@of_every_public_door
async def test_whoever_belongs_to_another_site_gets_nothing_of_this_one(
    attack: Attack, fortress: Fortress, door: Door
) -> None:
    wrong = []
    for person in _people(fortress, sites=(OTHER_SITE,)):
        outcome = await attack.ask(door, fortress.token(person))
        refused = outcome.code != "OK" or not _changes_it(fortress, door)
        if not (
            _may(fortress, door, person)
            or (refused and _gives_nothing_away(fortress, door, outcome))
        ):
            wrong.append((person.roles, outcome))

    assert wrong == []


@of_every_public_door
async def test_another_tenant_gets_nothing_of_this_one(
    attack: Attack, fortress: Fortress, door: Door
) -> None:
    stranger = f"stranger-{Uuid7().new()}"
    person = fortress.person(*ROLES, tenant="stranger", subject=stranger)

    outcome = await attack.ask(door, fortress.token(person))

    assert _gives_nothing_away(fortress, door, outcome), outcome
    assert fortress.written_by(stranger) == 0


@of_every_public_door
async def test_what_a_service_says_beside_a_call_helps_no_person_across(
    attack: Attack, fortress: Fortress, door: Door
) -> None:
    stranger = f"stranger-{Uuid7().new()}"
    person = fortress.person(*ROLES, tenant="stranger", subject=stranger)

    outcome = await attack.ask(door, fortress.token(person), **_forged(fortress))

    assert _gives_nothing_away(fortress, door, outcome), outcome
    assert fortress.written_by(stranger) == 0


@pytest.mark.parametrize("door", INTERNAL, ids=str)
async def test_what_services_ask_each_other_no_person_may_ask(
    attack: Attack, fortress: Fortress, door: Door
) -> None:
    token = fortress.token(fortress.person(*ROLES))

    plain = await attack.ask(door, token)
    forged = await attack.ask(door, token, **_forged(fortress))

    assert (plain.code, forged.code) == ("PERMISSION_DENIED", "PERMISSION_DENIED")


@pytest.mark.parametrize("door", INTERNAL, ids=str)
async def test_a_service_is_answered_about_what_it_may_know_and_refused_all_else(
    attack: Attack, fortress: Fortress, door: Door
) -> None:
    field = method_rules(door.method).about
    things = _asked_about(door)
    answered, failed = set(), set()
    for about in things:
        asked = {**fortress.known.document(door.method), field: about}
        for service in (*topology.SERVICES, STRANGER):
            outcome = await attack.ask(door, fortress.workload_token(service.name), asked)
            if outcome.code not in KEPT_OUT:
                answered.add((service.name, str(about)))
            failed |= {outcome.code} & OUR_FAULT

    assert answered == {
        (workload, str(about))
        for about in things
        for workload in MAY_KNOW[door.method.name].get(_kind(about), ())
    }
    assert failed == set()


def _asked_about(door: Door) -> list[Any]:
    """Every log of the process, or a subject of each kind; a list where the request has one."""
    if door.method.containing_service.full_name == EVENT_LOG:
        return [log for log in topology.logs() if topology.owner_of(log) == door.process]
    names = [f"{kind}/{Uuid7().new()}" for kind in ("jobs", "technicians", "vehicles", "sites")]
    field = door.method.input_type.fields_by_name[method_rules(door.method).about]
    return [[name] for name in names] if field.is_repeated else list(names)


def _kind(about: Any) -> str:
    return (about if isinstance(about, str) else about[0]).partition("/")[0]


@of_every_public_door
async def test_a_service_has_no_rights_of_people(
    attack: Attack, fortress: Fortress, door: Door
) -> None:
    token = fortress.workload_token("vehicle")

    without = await attack.ask(door, token)
    forged = await attack.ask(door, token, **_forged(fortress))

    assert without.code in KEPT_OUT or not _names_somebody(door), without
    assert forged.code in KEPT_OUT or not _names_somebody(door), forged


def _names_it(fortress: Fortress, door: Door) -> bool:
    """Whether the request is about a thing: then the policies judge that, else the roles alone."""
    return "name" in fortress.known.document(door.method) or _changes_it(fortress, door)


def _changes_it(fortress: Fortress, door: Door) -> bool:
    asked = fortress.known.document(door.method)
    return bool(method_rules(door.method).command) and _speaks_of(fortress, asked)


def _names_somebody(door: Door) -> bool:
    """Whether the policies of the method ask for a role at all."""
    return not _could(door, Person("stranger", ()))


def _forged(fortress: Fortress) -> dict[str, str]:
    return {
        "bayline_tenant": fortress.tenant,
        "bayline_causation_id": "workload:workshop",
        "bayline_workload": "workshop",
        "bayline_subject": fortress.maker,
        "bayline_roles": "admin",
        "x_forwarded_user": fortress.maker,
        "bayline_version": "1",
    }
