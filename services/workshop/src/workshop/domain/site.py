"""A site: a workshop with its zone, prices, hours and bays."""

from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never
from uuid import UUID
from zoneinfo import available_timezones

from eventstore.decider import Decider
from eventstore.store import Claim
from kernel.errors import DomainError
from workshop.domain import errors
from workshop.domain.bounds import MOST_BAYS, MOST_RATE_MINOR, MOST_TAX_PPM, refuse_outside
from workshop.domain.currencies import refuse_unknown
from workshop.domain.errors import (
    BayLabelTaken,
    BayNotFound,
    SiteCodeTaken,
    SiteNotFound,
    SiteOpenAlready,
    TooManyBays,
    UnknownZone,
)
from workshop.domain.hours import refuse_invalid
from workshop.domain.values import Bay, BayId, OpeningHours, TaxRates

UNTAXED = TaxRates(0, 0, 0)
SITE_CODE = "site-code"


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


SiteChange: TypeAlias = (
    SiteRenamed | TaxRatesSet | LabourRateSet | OpeningHoursSet | BayAdded | BayRetired
)
SiteEvent: TypeAlias = SiteOpened | SiteChange


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


ChangeSite: TypeAlias = (
    RenameSite | SetTaxRates | SetLabourRate | SetOpeningHours | AddBay | RetireBay
)
SiteCommand: TypeAlias = OpenSite | ChangeSite


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


AnySite: TypeAlias = NoSite | Site


def decide(command: SiteCommand, site: AnySite, facts: NewBays) -> list[SiteEvent]:
    if isinstance(command, OpenSite):
        return _open(command, site, facts)
    if isinstance(site, NoSite):
        raise SiteNotFound("there is no such site")
    return _change(command, site, facts)


def evolve(site: AnySite, event: SiteEvent) -> AnySite:
    if isinstance(event, SiteOpened):
        opened = Site(event.title, event.code, event.zone, event.currency)
        return opened if isinstance(site, NoSite) else site
    return site if isinstance(site, NoSite) else _changed(site, event)


def claims(site: AnySite) -> set[Claim]:
    return set() if isinstance(site, NoSite) else {Claim(SITE_CODE, site.code)}


def taken(scope: str, key: str, holder: UUID) -> DomainError | None:
    return SiteCodeTaken(f"{key} is the code of another site", site_id=f"sites/{holder}", code=key)


def _open(command: OpenSite, site: AnySite, facts: NewBays) -> list[SiteEvent]:
    if isinstance(site, Site):
        raise SiteOpenAlready(f"site {site.code} is open already")
    if command.zone not in available_timezones():
        raise UnknownZone(f"{command.zone} is no IANA time zone", zone=command.zone)
    refuse_unknown(command.currency)
    refuse_invalid(command.hours)
    _refuse_tax(command.tax_rates)
    _refuse_rate(command.labour_rate_minor)
    opened = Site(command.title, command.code, command.zone, command.currency)
    return [
        SiteOpened(command.title, command.code, command.zone, command.currency),
        TaxRatesSet(command.tax_rates),
        LabourRateSet(command.labour_rate_minor),
        OpeningHoursSet(command.hours),
        *_added(command.bays, opened, facts),
    ]


def _change(command: ChangeSite, site: Site, facts: NewBays) -> list[SiteEvent]:
    match command:
        case RenameSite(title):
            return [SiteRenamed(title)]
        case SetTaxRates(tax_rates):
            _refuse_tax(tax_rates)
            return [TaxRatesSet(tax_rates)]
        case SetLabourRate(labour_rate_minor):
            _refuse_rate(labour_rate_minor)
            return [LabourRateSet(labour_rate_minor)]
        case SetOpeningHours(hours):
            refuse_invalid(hours)
            return [OpeningHoursSet(hours)]
        case AddBay(label):
            return _added((label,), site, facts)
        case RetireBay(bay):
            return _retired(bay, site)
        case _:
            assert_never(command)


def _added(labels: tuple[str, ...], site: Site, facts: NewBays) -> list[SiteEvent]:
    """A label says which bay is meant, so only a retired bay gives it free."""
    if len(site.bays) + len(labels) > MOST_BAYS:
        raise TooManyBays(f"a site has at most {MOST_BAYS} bays in its life", most=str(MOST_BAYS))
    used = {bay.label for bay in site.bays if not bay.retired}
    for label in labels:
        if label in used:
            raise BayLabelTaken(f"there is a bay {label} already", label=label)
        used.add(label)
    return [BayAdded(bay, label) for bay, label in zip(facts.ids, labels, strict=True)]


def _refuse_tax(rates: TaxRates) -> None:
    refuse_outside("/taxRates/labourPpm", rates.labour_ppm, MOST_TAX_PPM, unit="millionths")
    refuse_outside("/taxRates/partsPpm", rates.parts_ppm, MOST_TAX_PPM, unit="millionths")
    refuse_outside("/taxRates/feesPpm", rates.fees_ppm, MOST_TAX_PPM, unit="millionths")


def _refuse_rate(minor: int) -> None:
    refuse_outside("/labourRateMinor", minor, MOST_RATE_MINOR, unit="minor units")


def _retired(bay_id: BayId, site: Site) -> list[SiteEvent]:
    bay = next((each for each in site.bays if each.id == bay_id), None)
    if bay is None:
        raise BayNotFound("the site has no such bay", bay=f"bays/{bay_id}")
    if bay.retired:
        raise errors.BayRetired(f"bay {bay.label} is retired already", bay=f"bays/{bay_id}")
    return [BayRetired(bay_id)]


def _changed(site: Site, event: SiteChange) -> Site:
    match event:
        case SiteRenamed(title):
            return replace(site, title=title)
        case TaxRatesSet(tax_rates):
            return replace(site, tax_rates=tax_rates)
        case LabourRateSet(labour_rate_minor):
            return replace(site, labour_rate_minor=labour_rate_minor)
        case OpeningHoursSet(hours):
            return replace(site, hours=hours)
        case BayAdded(bay, label):
            return replace(site, bays=(*site.bays, Bay(bay, label)))
        case BayRetired(bay_id):
            bays = (replace(b, retired=b.retired or b.id == bay_id) for b in site.bays)
            return replace(site, bays=tuple(bays))
        case _:
            assert_never(event)


SITE: Decider[SiteCommand, AnySite, SiteEvent, NewBays] = Decider(
    initial=NoSite(),
    decide=decide,
    evolve=evolve,
    claims=claims,
    scopes=frozenset({SITE_CODE}),
    taken=taken,
)
