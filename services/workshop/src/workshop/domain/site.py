"""A site: a workshop with its zone, prices, hours and bays."""

from dataclasses import dataclass
from typing import TypeAlias

from workshop.domain.values import Bay, BayId, OpeningHours, TaxRates

UNTAXED = TaxRates(0, 0, 0)


@dataclass(frozen=True, slots=True)
class SiteOpened:
    title: str
    code: str
    zone: str
    currency: str


@dataclass(frozen=True, slots=True)
class SiteRenamed:
    title: str


@dataclass(frozen=True, slots=True)
class TaxRatesSet:
    tax_rates: TaxRates


@dataclass(frozen=True, slots=True)
class LabourRateSet:
    labour_rate_minor: int


@dataclass(frozen=True, slots=True)
class OpeningHoursSet:
    hours: tuple[OpeningHours, ...]


@dataclass(frozen=True, slots=True)
class BayAdded:
    bay: BayId
    label: str


@dataclass(frozen=True, slots=True)
class BayRetired:
    bay: BayId


SiteEvent: TypeAlias = (
    SiteOpened | SiteRenamed | TaxRatesSet | LabourRateSet | OpeningHoursSet | BayAdded | BayRetired
)


@dataclass(frozen=True, slots=True)
class OpenSite:
    """`bays` are the labels of its first bays."""

    title: str
    code: str
    zone: str
    currency: str
    labour_rate_minor: int
    tax_rates: TaxRates
    hours: tuple[OpeningHours, ...]
    bays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RenameSite:
    title: str


@dataclass(frozen=True, slots=True)
class SetTaxRates:
    tax_rates: TaxRates


@dataclass(frozen=True, slots=True)
class SetLabourRate:
    labour_rate_minor: int


@dataclass(frozen=True, slots=True)
class SetOpeningHours:
    hours: tuple[OpeningHours, ...]


@dataclass(frozen=True, slots=True)
class AddBay:
    label: str


@dataclass(frozen=True, slots=True)
class RetireBay:
    bay: BayId


SiteCommand: TypeAlias = (
    OpenSite | RenameSite | SetTaxRates | SetLabourRate | SetOpeningHours | AddBay | RetireBay
)


@dataclass(frozen=True, slots=True)
class NoSite:
    pass


@dataclass(frozen=True, slots=True)
class Site:
    title: str
    code: str
    zone: str
    currency: str
    labour_rate_minor: int = 0
    tax_rates: TaxRates = UNTAXED
    hours: tuple[OpeningHours, ...] = ()
    bays: tuple[Bay, ...] = ()


@dataclass(frozen=True, slots=True)
class NewBays:
    """An id for each bay that the command adds."""

    ids: tuple[BayId, ...] = ()
