"""The policies, asked twenty thousand times, against the same rules said a second time and otherwise."""

import re
from collections import Counter
from functools import cache
from importlib.resources import files
from random import Random

import pytest

from devstack import topology
from devstack.tokens import ROLES
from runtime.identity import Caller
from runtime.policy import Policies, Thing
from testkit.proof.folds import projections
from testkit.surface import EVENT_LOG, action_of, methods, services
from transcoding.descriptors import method_rules

QUESTIONS = 20_000
WORKLOADS = tuple(service.name for service in topology.SERVICES)
KINDS = ("jobs", "technicians", "vehicles")
SITES, TECHNICIANS, PEOPLE = ("s-1", "s-2", "s-3"), ("", "t-1", "t-2"), ("", "me", "you")
RIGHTS = """
everyone                                      |                 | GetMe
:gateway                                      |                 | ReadShard ReadTenant FoldTenant GetHeads
:audit                                        |                 | ReadShard GetHeads
:workshop                                     | of vehicles     | ReadShard GetHeads
:workshop                                     | of technicians  | ReadShard GetHeads
:workshop :technician                         | of the forgotten | ReadShard GetHeads
:vehicle :technician                          | of jobs         | ReadShard GetHeads
:workshop                                     | words of jobs   | UnwrapKeys CreateKey
:technician                                   | words of people | UnwrapKeys CreateKey
analyst auditor admin                         | everywhere      | ListStreams ReadStream ExportStream
STAFF                                         |                 | StreamJobs GetSettings
STAFF driver                                  | here or nowhere | GetSite ListSites GetBayCalendar ListJobs
STAFF driver                                  | here or nowhere | GetVehicle ListVehicles ListServiceHistory
STAFF                                         | here            | GetJob GetJobHistory
driver                                        | asked for it    | GetJob GetJobHistory
driver technician service_manager fleet_manager | here          | RequestJob
admin                                         | here or nowhere | OpenSite RenameSite SetTaxRates SetLabourRate
admin                                         | here or nowhere | SetOpeningHours AddBay RetireBay
admin                                         | here or nowhere | SetApprovalLimits SetApprovalThreshold
admin                                         | here or nowhere | SetReworkWindow SetDuplicateRule
service_manager                               | here            | SetOpeningHours AddBay RetireBay
service_manager                               | here            | TriageJob RejectJob IssueEstimate PromiseCompletion
service_manager                               | here            | AssignTechnician BookBay RescheduleBay ReleaseBay
service_manager                               | here            | StartWork StartLabour StopLabour CorrectLabour
service_manager                               | here            | ReleaseVehicle InvoiceJob CloseJob CorrectMeter
service_manager technician                    | here            | CheckInVehicle RecordDiagnosis LeaveBay HoldJob
service_manager technician                    | here            | ResumeJob ReportAdditionalWork CompleteLine
service_manager technician                    | here            | CompleteWork PassQc FailQc
service_manager parts_clerk                   | here            | ConfirmParts ReportPartsShort
service_manager fleet_manager                 | here            | ApproveLines DeclineLines DeferLines CancelJob
service_manager fleet_manager                 | here            | ReopenJob
technician                                    | here, self      | StartWork StartLabour StopLabour
technician                                    | self            | GetTechnician GetWorkload
service_manager fleet_manager auditor admin   | here or nowhere | GetTechnician ListTechnicians GetWorkload
service_manager admin                         | here or nowhere | RegisterTechnician RenameTechnician MoveTechnician
service_manager admin                         | here or nowhere | GrantCertification RevokeCertification LeaveCompany
fleet_manager service_manager admin           | here or nowhere | RegisterVehicle ChangePlate MoveVehicle
fleet_manager service_manager admin           | here or nowhere | ChangeAssetNumber SellVehicle
auditor admin                                 | everywhere      | GetAuditLog ListAuditRecords GetAuditRecord
auditor admin                                 | everywhere      | ProveConsistency
admin                                         | everywhere      | ErasePerson RedactJob
"""
LOGS = {
    "of vehicles": "bayline.vehicle.v1.VehicleEvent",
    "of technicians": "bayline.technician.v1.TechnicianEvent",
    "of the forgotten": "bayline.keyring.v1.SubjectEvent",
    "of jobs": "bayline.workshop.v1.JobEvent",
}
STAFF = " ".join(role for role in ROLES if role != "driver")


def oracle(who: Caller, method: str, it: Thing) -> bool:
    """Who, under which condition, may do what. A method without a row is nobody's."""
    here = "*" in who.sites or it.site in who.sites
    holds = {
        "": True,
        "everywhere": "*" in who.sites,
        "here": here,
        "here or nowhere": here or it.site == "",
        "asked for it": it.requester == who.subject,
        "self": who.technician != "" and it.assignee == who.technician,
        **{words: it.about == log for words, log in LOGS.items()},
        "words of jobs": it.about == "jobs",
        "words of people": it.about == "technicians",
    }
    they_are = {"everyone", *who.roles, f":{who.workload}"}
    return any(
        they_are & set(people.split()) and all(holds[each] for each in conditions)
        for people, conditions, methods in _rights()
        if method in methods
    )


@cache
def _rights() -> list[tuple[str, list[str], list[str]]]:
    rows = [row.split("|") for row in RIGHTS.replace("STAFF", STAFF).strip().splitlines()]
    return [
        (people, [each.strip() for each in conditions.split(",")], methods.split())
        for people, conditions, methods in rows
    ]


@cache
def _policies() -> Policies:
    return Policies(_text())


@cache
def _text() -> str:
    folders = sorted({service.file.package.replace(".", "/") for service in services()})
    within = (f"{folder.removeprefix('bayline/')}/policies.cedar" for folder in folders)
    texts = map(files("bayline").joinpath, within)
    return "\n".join(text.read_text() for text in texts)


def _somebody(random: Random) -> Caller:
    return Caller(
        subject="me",
        tenant="acme",
        roles=frozenset(random.sample((*ROLES, "visitor"), random.randrange(3))),
        sites=frozenset(random.sample(("*", *SITES), random.randrange(3))),
        workload=random.choice(("", random.choice(WORKLOADS))),
        technician=random.choice(TECHNICIANS),
    )


def _something(random: Random) -> Thing:
    return Thing(
        random.choice(("", *SITES)),
        random.choice(TECHNICIANS),
        random.choice(PEOPLE),
        random.choice(("", *topology.logs(), *KINDS)),
    )


@cache
def _questions() -> list[tuple[Caller, str, Thing]]:
    random, actions = Random(7), sorted(_policies().actions)
    return [
        (_somebody(random), random.choice(actions), _something(random)) for _ in range(QUESTIONS)
    ]


def _answers() -> list[bool]:
    return [_policies().allows(*question) for question in _questions()]


def test_the_policies_allow_what_is_meant_and_nothing_else() -> None:
    meant = [oracle(who, action.partition("/")[2], it) for who, action, it in _questions()]

    differ = [
        (question, "allowed" if allowed else "refused")
        for question, allowed, right in zip(_questions(), _answers(), meant, strict=True)
        if allowed != right
    ]

    assert differ[:5] == []
    assert min(Counter(meant).values()) > QUESTIONS / 10


def test_every_method_is_allowed_to_somebody_and_refused_to_somebody() -> None:
    seen: dict[str, set[bool]] = {}
    for (_, action, _), allowed in zip(_questions(), _answers(), strict=True):
        seen.setdefault(action, set()).add(allowed)

    one_sided = {action for action, answers in seen.items() if len(answers) < 2}

    assert seen.keys() == _policies().actions
    assert one_sided == {"bayline.gateway.v1.GatewayService/GetMe"}


def test_the_gateway_turns_nobody_away_whom_a_service_would_let_in() -> None:
    internal = {action_of(each) for each in methods() if method_rules(each).internal}

    turned_away = [
        question
        for question, allowed in zip(_questions(), _answers(), strict=True)
        if allowed
        and question[1] not in internal
        and not _policies().could(question[0], question[1])
    ]

    assert turned_away == []


def test_a_service_may_read_the_logs_that_it_projects() -> None:
    followed = {
        (service, log)
        for service, subscriptions in projections().items()
        for subscription in subscriptions
        for log in subscription.topics
        if topology.owner_of(log) != service
    }

    refused = [
        (service, log, rpc)
        for service, log in followed
        for rpc in ("ReadShard", "GetHeads")
        if not _policies().allows(
            Caller(service, "", frozenset(), frozenset(), workload=service),
            f"{EVENT_LOG}/{rpc}",
            Thing(about=log),
        )
    ]

    assert len(followed) >= 4
    assert refused == []


@pytest.mark.parametrize("policy", re.split(r"(?=^@id)", _text(), flags=re.MULTILINE)[1:])
def test_every_policy_lets_somebody_in(policy: str) -> None:
    alone = Policies(policy)

    about = [question for question in _questions() if question[1] in alone.actions]

    assert any(alone.allows(*question) for question in about)
