import pytest

from kernel.errors import Forbidden
from runtime.identity import Caller
from runtime.policy import Policies, PoliciesIncomplete

TEXT = """
permit (principal, action == Action::"x.v1.Jobs/Start", resource) when {
  principal.roles.contains("technician") && resource.assignee == principal.technician
  && (principal.sites.contains("*") || principal.sites.contains(resource.site))
};
permit (principal, action == Action::"x.v1.Jobs/Inspect", resource) when {
  principal.roles.contains("technician") && resource.assignee != principal.technician
};
permit (principal, action in [Action::"x.v1.Jobs/Get"], resource) when {
  principal.roles.contains("driver") && resource.requester == principal.id
};
"""
START, INSPECT, GET = "x.v1.Jobs/Start", "x.v1.Jobs/Inspect", "x.v1.Jobs/Get"


def someone(role: str, *, sites: str = "s-1", technician: str = "") -> Caller:
    roles = frozenset({role})
    return Caller("user-1", "acme", roles, frozenset({sites}), technician=technician)


@pytest.fixture
def policies() -> Policies:
    return Policies(TEXT)


def test_a_technician_starts_own_work_at_own_site(policies: Policies) -> None:
    technician = someone("technician", technician="t-1")

    policies.require(technician, START, site="s-1", assignee="t-1")

    for site, assignee in (("s-2", "t-1"), ("s-1", "t-2"), ("", "")):
        with pytest.raises(Forbidden):
            policies.require(technician, START, site=site, assignee=assignee)


def test_all_sites_are_every_site(policies: Policies) -> None:
    policies.require(
        someone("technician", sites="*", technician="t"), START, site="s", assignee="t"
    )


def test_what_no_policy_names_is_denied(policies: Policies) -> None:
    with pytest.raises(Forbidden):
        policies.require(someone("admin"), "x.v1.Jobs/Delete")


def test_a_question_before_the_object_is_known_is_answered_kindly(policies: Policies) -> None:
    technician, driver = someone("technician", technician="t-1"), someone("driver")

    asked = (START, INSPECT, GET)
    assert [policies.could(technician, action) for action in asked] == [True, True, False]
    assert [policies.could(driver, action) for action in asked] == [False, False, True]


def test_a_decision_is_made_once(policies: Policies) -> None:
    for _ in range(3):
        policies.could(someone("driver"), GET)

    assert policies.could.cache_info().hits == 2


def test_a_service_does_not_start_with_a_method_nobody_may_call(policies: Policies) -> None:
    policies.check_names([START, INSPECT, GET])
    with pytest.raises(PoliciesIncomplete, match=r"no policy names x\.v1\.Jobs/Stop"):
        policies.check_names([START, INSPECT, GET, "x.v1.Jobs/Stop"])


def test_a_policy_for_a_method_that_is_not_there_is_a_mistake(policies: Policies) -> None:
    with pytest.raises(PoliciesIncomplete, match=r"not there: x\.v1\.Jobs/Inspect"):
        policies.check_names([START, GET])


def test_a_policy_for_everything_names_nothing() -> None:
    with pytest.raises(PoliciesIncomplete):
        Policies("permit (principal, action, resource);").check_names([START])
