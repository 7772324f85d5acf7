"""A tenant's settings: rules that every job of the tenant follows."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias, assert_never

from eventstore.decider import Decider
from kernel.errors import Violation
from workshop.domain.bounds import MOST_AMOUNT_MINOR, refuse_outside
from workshop.domain.currencies import refuse_unknown
from workshop.domain.errors import (
    CurrencyMissing,
    ReworkWindowInvalid,
    RoleNamedTwice,
    RoleUnknown,
    ThresholdNegative,
)
from workshop.domain.values import (
    ANY_CURRENCY,
    NO_LIMIT,
    ROLES,
    ApprovalLimit,
    ApprovalThreshold,
    DuplicateRule,
)

NO_TIME = timedelta()
YEAR = timedelta(days=366)
WORTH_ABOUT_THE_SAME = ("AUD", "CAD", "CHF", "EUR", "GBP", "USD")
"""2,000.00 of them is what a service manager decides alone."""


@dataclass(frozen=True, slots=True)
class ApprovalLimitsSet:
    approval_limits: tuple[ApprovalLimit, ...]


@dataclass(frozen=True, slots=True)
class ApprovalThresholdSet:
    """Of before thresholds had a currency, it has none, and counts for none."""

    approval_threshold_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class ReworkWindowSet:
    rework_window: timedelta


@dataclass(frozen=True, slots=True)
class DuplicateRuleSet:
    duplicate_rule: DuplicateRule


TenantEvent: TypeAlias = (
    ApprovalLimitsSet | ApprovalThresholdSet | ReworkWindowSet | DuplicateRuleSet
)


@dataclass(frozen=True, slots=True)
class SetApprovalLimits:
    approval_limits: tuple[ApprovalLimit, ...]


@dataclass(frozen=True, slots=True)
class SetApprovalThreshold:
    approval_threshold_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class SetReworkWindow:
    rework_window: timedelta


@dataclass(frozen=True, slots=True)
class SetDuplicateRule:
    duplicate_rule: DuplicateRule


TenantCommand: TypeAlias = (
    SetApprovalLimits | SetApprovalThreshold | SetReworkWindow | SetDuplicateRule
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds where nothing was set: in other currencies a tenant sets its limits first."""

    approval_limits: tuple[ApprovalLimit, ...] = (
        *(ApprovalLimit("service_manager", 200_000, currency) for currency in WORTH_ABOUT_THE_SAME),
        ApprovalLimit("fleet_manager", NO_LIMIT, ANY_CURRENCY),
    )
    approval_thresholds: tuple[ApprovalThreshold, ...] = ()
    rework_window: timedelta = timedelta(days=30)
    duplicate_rule: DuplicateRule = DuplicateRule.VEHICLE_AND_SYSTEM

    def threshold_minor(self, currency: str) -> int:
        """Nothing is below 0: without a threshold somebody has to approve."""
        thresholds = {each.currency: each.threshold_minor for each in self.approval_thresholds}
        return thresholds.get(currency, 0)


def decide(command: TenantCommand, settings: Settings, facts: None = None) -> list[TenantEvent]:
    match command:
        case SetApprovalLimits(limits):
            for index, limit in enumerate(limits):
                _refuse_limit(limit, f"/approvalLimits/{index}")
            _refuse_second(limits)
            return [ApprovalLimitsSet(limits)]
        case SetApprovalThreshold(threshold, currency):
            if threshold < 0:
                raise ThresholdNegative("a threshold is not negative")
            at = "/approvalThresholdMinor"
            refuse_outside(at, threshold, MOST_AMOUNT_MINOR, unit="minor units")
            refuse_unknown(currency)
            return [ApprovalThresholdSet(threshold, currency)]
        case SetReworkWindow(window):
            if not NO_TIME <= window <= YEAR:
                raise ReworkWindowInvalid("a rework window is between nothing and a year")
            return [ReworkWindowSet(window)]
        case SetDuplicateRule(rule):
            return [DuplicateRuleSet(rule)]
        case _:
            assert_never(command)


def evolve(settings: Settings, event: TenantEvent) -> Settings:
    match event:
        case ApprovalLimitsSet(limits):
            return replace(settings, approval_limits=limits)
        case ApprovalThresholdSet(threshold, currency):
            return _with_threshold(settings, threshold, currency)
        case ReworkWindowSet(window):
            return replace(settings, rework_window=window)
        case DuplicateRuleSet(rule):
            return replace(settings, duplicate_rule=rule)
        case _:
            assert_never(event)


def _refuse_limit(limit: ApprovalLimit, at: str) -> None:
    """A limit of a role that nobody has would disarm those that somebody has: all are set at once."""
    if limit.role not in ROLES:
        raise RoleUnknown(
            f"there is no role {limit.role}",
            violations=[Violation(f"{at}/role", "is no role")],
            role=limit.role,
            roles=",".join(sorted(ROLES)),
        )
    minor, most = limit.limit_minor, MOST_AMOUNT_MINOR
    refuse_outside(f"{at}/limitMinor", minor, most, least=NO_LIMIT, unit="minor units")
    if limit.currency != ANY_CURRENCY:
        refuse_unknown(limit.currency)
    elif limit.limit_minor != NO_LIMIT:
        raise CurrencyMissing(
            f"the limit of {limit.role} is an amount, and needs a currency",
            violations=[Violation(f"{at}/currency", "is required unless limitMinor is -1")],
            role=limit.role,
        )


def _refuse_second(limits: tuple[ApprovalLimit, ...]) -> None:
    """One that holds for all currencies leaves none for another."""
    of_role: defaultdict[str, list[str]] = defaultdict(list)
    for limit in limits:
        of_role[limit.role].append(limit.currency)
    for role, currencies in of_role.items():
        several = len(currencies) > 1 and ANY_CURRENCY in currencies
        if several or len(set(currencies)) < len(currencies):
            raise RoleNamedTwice(
                f"{role} has one limit for each currency, or one for all of them", role=role
            )


def _with_threshold(settings: Settings, threshold: int, currency: str) -> Settings:
    if not currency:
        return settings
    others = (each for each in settings.approval_thresholds if each.currency != currency)
    thresholds = (*others, ApprovalThreshold(currency, threshold))
    return replace(
        settings, approval_thresholds=tuple(sorted(thresholds, key=lambda each: each.currency))
    )


TENANT: Decider[TenantCommand, Settings, TenantEvent, None] = Decider(
    initial=Settings(), decide=decide, evolve=evolve
)
