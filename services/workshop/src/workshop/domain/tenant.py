"""A tenant's settings: rules that every job of the tenant follows."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias, assert_never

from eventstore.decider import Decider
from workshop.domain.errors import ReworkWindowInvalid, RoleNamedTwice, ThresholdNegative
from workshop.domain.values import ApprovalLimit, DuplicateRule

NO_TIME = timedelta()
YEAR = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class ApprovalLimitsSet:
    approval_limits: tuple[ApprovalLimit, ...]


@dataclass(frozen=True, slots=True)
class ApprovalThresholdSet:
    approval_threshold_minor: int


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
    """What holds where nothing was set."""

    approval_limits: tuple[ApprovalLimit, ...] = (
        ApprovalLimit("service_manager", 200_000),
        ApprovalLimit("fleet_manager", -1),
    )
    approval_threshold_minor: int = 0
    rework_window: timedelta = timedelta(days=30)
    duplicate_rule: DuplicateRule = DuplicateRule.VEHICLE_AND_SYSTEM


def decide(command: TenantCommand, settings: Settings, facts: None = None) -> list[TenantEvent]:
    match command:
        case SetApprovalLimits(limits):
            if len({limit.role for limit in limits}) < len(limits):
                raise RoleNamedTwice("a role has one limit")
            return [ApprovalLimitsSet(limits)]
        case SetApprovalThreshold(threshold):
            if threshold < 0:
                raise ThresholdNegative("a threshold is not negative")
            return [ApprovalThresholdSet(threshold)]
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
        case ApprovalThresholdSet(threshold):
            return replace(settings, approval_threshold_minor=threshold)
        case ReworkWindowSet(window):
            return replace(settings, rework_window=window)
        case DuplicateRuleSet(rule):
            return replace(settings, duplicate_rule=rule)
        case _:
            assert_never(event)


TENANT: Decider[TenantCommand, Settings, TenantEvent, None] = Decider(
    initial=Settings(), decide=decide, evolve=evolve
)
