"""A tenant's settings: rules that every job of the tenant follows."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from workshop.domain.values import ApprovalLimit, DuplicateRule


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
