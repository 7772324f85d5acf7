from datetime import timedelta

import pytest

from testkit.given import Given
from workshop.domain.errors import ReworkWindowInvalid, RoleNamedTwice, ThresholdNegative
from workshop.domain.tenant import (
    ApprovalLimitsSet,
    ApprovalThresholdSet,
    DuplicateRuleSet,
    ReworkWindowSet,
    SetApprovalLimits,
    SetApprovalThreshold,
    SetDuplicateRule,
    SetReworkWindow,
    Settings,
    TenantCommand,
    TenantEvent,
    decide,
    evolve,
)
from workshop.domain.values import ApprovalLimit, DuplicateRule

given: Given[Settings, TenantEvent] = Given(evolve, Settings())

CAREFUL = (ApprovalLimit("service_manager", 50_000), ApprovalLimit("fleet_manager", 500_000))
MONTH = timedelta(days=30)


def test_where_nothing_was_set_the_defaults_hold() -> None:
    assert given().state == Settings(
        approval_limits=(
            ApprovalLimit("service_manager", 200_000),
            ApprovalLimit("fleet_manager", -1),
        ),
        approval_threshold_minor=0,
        rework_window=MONTH,
        duplicate_rule=DuplicateRule.VEHICLE_AND_SYSTEM,
    )


@pytest.mark.parametrize(
    ("command", "event", "settings"),
    [
        (
            SetApprovalLimits(CAREFUL),
            ApprovalLimitsSet(CAREFUL),
            Settings(approval_limits=CAREFUL),
        ),
        (
            SetApprovalThreshold(10_000),
            ApprovalThresholdSet(10_000),
            Settings(approval_threshold_minor=10_000),
        ),
        (
            SetReworkWindow(2 * MONTH),
            ReworkWindowSet(2 * MONTH),
            Settings(rework_window=2 * MONTH),
        ),
        (
            SetDuplicateRule(DuplicateRule.NONE),
            DuplicateRuleSet(DuplicateRule.NONE),
            Settings(duplicate_rule=DuplicateRule.NONE),
        ),
    ],
)
def test_a_tenant_sets_its_own_rules(
    command: TenantCommand, event: TenantEvent, settings: Settings
) -> None:
    assert given().when(decide, command) == [event]
    assert given(event).state == settings


def test_a_role_has_one_limit() -> None:
    twice = (ApprovalLimit("admin", 1), ApprovalLimit("admin", 2))

    with pytest.raises(RoleNamedTwice):
        given().when(decide, SetApprovalLimits(twice))


def test_a_threshold_is_not_negative() -> None:
    with pytest.raises(ThresholdNegative):
        given().when(decide, SetApprovalThreshold(-1))


@pytest.mark.parametrize("window", [timedelta(days=-1), timedelta(days=367)])
def test_a_repair_holds_between_nothing_and_a_year(window: timedelta) -> None:
    with pytest.raises(ReworkWindowInvalid):
        given().when(decide, SetReworkWindow(window))
