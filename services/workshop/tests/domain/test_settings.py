from datetime import timedelta

import pytest

from testkit.given import Given
from workshop.domain.errors import (
    CurrencyMissing,
    NumberOutOfBounds,
    ReworkWindowInvalid,
    RoleNamedTwice,
    RoleUnknown,
    ThresholdNegative,
    UnknownCurrency,
)
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
from workshop.domain.values import ApprovalLimit, ApprovalThreshold, DuplicateRule

given: Given[Settings, TenantEvent] = Given(evolve, Settings())

CAREFUL = (
    ApprovalLimit("service_manager", 50_000, "EUR"),
    ApprovalLimit("service_manager", 500_000, "JPY"),
    ApprovalLimit("fleet_manager", -1),
)
MOST = 1_000_000_000_000
MONTH = timedelta(days=30)


def accepted(command: TenantCommand) -> bool:
    try:
        return bool(given().when(decide, command))
    except NumberOutOfBounds:
        return False


def test_where_nothing_was_set_the_defaults_hold() -> None:
    assert given().state == Settings(
        approval_limits=(
            ApprovalLimit("service_manager", 200_000, "AUD"),
            ApprovalLimit("service_manager", 200_000, "CAD"),
            ApprovalLimit("service_manager", 200_000, "CHF"),
            ApprovalLimit("service_manager", 200_000, "EUR"),
            ApprovalLimit("service_manager", 200_000, "GBP"),
            ApprovalLimit("service_manager", 200_000, "USD"),
            ApprovalLimit("fleet_manager", -1, ""),
        ),
        approval_thresholds=(),
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
            SetApprovalThreshold(10_000, "EUR"),
            ApprovalThresholdSet(10_000, "EUR"),
            Settings(approval_thresholds=(ApprovalThreshold("EUR", 10_000),)),
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


@pytest.mark.parametrize(
    "twice",
    [
        (ApprovalLimit("admin", 1, "EUR"), ApprovalLimit("admin", 2, "EUR")),
        (ApprovalLimit("admin", -1), ApprovalLimit("admin", 2, "EUR")),
        (ApprovalLimit("admin", -1), ApprovalLimit("admin", -1)),
    ],
)
def test_a_role_has_one_limit_for_a_currency(twice: tuple[ApprovalLimit, ...]) -> None:
    with pytest.raises(RoleNamedTwice):
        given().when(decide, SetApprovalLimits(twice))


def test_a_role_that_nobody_has_would_disarm_the_others() -> None:
    mistyped = (*CAREFUL, ApprovalLimit("fleet_manger", -1))

    with pytest.raises(RoleUnknown) as refusal:
        given().when(decide, SetApprovalLimits(mistyped))

    assert refusal.value.violations[0].pointer == "/approvalLimits/3/role"
    assert "fleet_manager" in refusal.value.facts["roles"].split(",")


@pytest.mark.parametrize("minor", [0, 200_000])
def test_an_amount_needs_its_currency(minor: int) -> None:
    with pytest.raises(CurrencyMissing) as refusal:
        given().when(decide, SetApprovalLimits((ApprovalLimit("admin", minor),)))

    assert refusal.value.violations[0].pointer == "/approvalLimits/0/currency"


def test_a_currency_is_one_that_there_is() -> None:
    with pytest.raises(UnknownCurrency):
        given().when(decide, SetApprovalLimits((ApprovalLimit("admin", 1, "XXX"),)))
    with pytest.raises(UnknownCurrency):
        given().when(decide, SetApprovalThreshold(1, "XXX"))


@pytest.mark.parametrize(
    ("minor", "held"), [(-2, False), (-1, True), (MOST, True), (MOST + 1, False)]
)
def test_a_limit_has_bounds(minor: int, held: bool) -> None:
    command = SetApprovalLimits((ApprovalLimit("admin", minor, "EUR"),))

    assert accepted(command) is held


@pytest.mark.parametrize(("minor", "held"), [(0, True), (MOST, True), (MOST + 1, False)])
def test_a_threshold_has_bounds(minor: int, held: bool) -> None:
    assert accepted(SetApprovalThreshold(minor, "EUR")) is held


def test_a_threshold_is_not_negative() -> None:
    with pytest.raises(ThresholdNegative):
        given().when(decide, SetApprovalThreshold(-1, "EUR"))


def test_each_currency_has_its_threshold() -> None:
    rules = given(
        ApprovalThresholdSet(10_000, "EUR"),
        ApprovalThresholdSet(500_000, "JPY"),
        ApprovalThresholdSet(20_000, "EUR"),
    ).state

    assert [rules.threshold_minor(each) for each in ("EUR", "JPY", "USD")] == [20_000, 500_000, 0]


def test_a_threshold_that_was_set_without_a_currency_approves_nothing() -> None:
    rules = given(ApprovalThresholdSet(10_000, currency="")).state

    assert (rules, rules.threshold_minor("")) == (Settings(), 0)


@pytest.mark.parametrize("window", [timedelta(days=-1), timedelta(days=367)])
def test_a_repair_holds_between_nothing_and_a_year(window: timedelta) -> None:
    with pytest.raises(ReworkWindowInvalid):
        given().when(decide, SetReworkWindow(window))
