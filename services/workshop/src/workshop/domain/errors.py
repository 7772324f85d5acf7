"""The truths that stand in the way, one class each."""

from kernel.errors import AlreadyExists, InvalidArgument, NotFound, RuleViolated, Unavailable


class SiteNotFound(NotFound):
    pass


class SiteOpenAlready(AlreadyExists):
    pass


class SiteCodeTaken(AlreadyExists):
    pass


class UnknownZone(InvalidArgument):
    pass


class UnknownCurrency(InvalidArgument):
    pass


class OpeningHoursInvalid(InvalidArgument):
    pass


class BayLabelTaken(AlreadyExists):
    pass


class BayNotFound(NotFound):
    pass


class BayRetired(RuleViolated):
    pass


class NumberOutOfBounds(InvalidArgument):
    """`least` and `most` are its bounds, in `unit`."""


class TooManyBays(RuleViolated):
    pass


class CurrencyMissing(InvalidArgument):
    pass


class RoleUnknown(InvalidArgument):
    pass


class RoleNamedTwice(InvalidArgument):
    pass


class ThresholdNegative(InvalidArgument):
    pass


class ReworkWindowInvalid(InvalidArgument):
    pass


class JobNotFound(NotFound):
    pass


class VehicleNotFound(NotFound):
    pass


class FactsNotYetKnown(Unavailable):
    pass


class JobStateForbids(RuleViolated):
    """`state` is where the job stands, `allowed` what it can be asked for now."""


class DuplicateJob(AlreadyExists):
    pass


class DeferredLineTaken(RuleViolated):
    pass


class ComplaintMissing(InvalidArgument):
    pass


class LineNotFound(NotFound):
    pass


class LineAlreadyDecided(RuleViolated):
    pass


class LineNotPriced(RuleViolated):
    pass


class LineNamedTwice(InvalidArgument):
    pass


class LineNeedsNoParts(RuleViolated):
    pass


class LineNotApproved(RuleViolated):
    pass


class LineNotDone(RuleViolated):
    pass


class EstimateOutdated(RuleViolated):
    pass


class SumOutOfBounds(RuleViolated):
    pass


class TooManyLines(RuleViolated):
    pass


class TooManyClocks(RuleViolated):
    pass


class ApprovalLimitExceeded(RuleViolated):
    pass


class TechnicianNotFound(NotFound):
    pass


class TechnicianInactive(RuleViolated):
    pass


class TechnicianNotCertified(RuleViolated):
    pass


class TechnicianClockedElsewhere(RuleViolated):
    pass


class SlotInvalid(InvalidArgument):
    pass


class SlotTaken(RuleViolated):
    pass


class SiteClosed(RuleViolated):
    pass


class BayOccupied(RuleViolated):
    pass


class BayAlreadyBooked(RuleViolated):
    pass


class BayNotBooked(RuleViolated):
    pass


class NotInABay(RuleViolated):
    pass


class ClockAlreadyRunning(RuleViolated):
    pass


class ClockNotRunning(RuleViolated):
    pass


class ClockStillRunning(RuleViolated):
    pass


class LabourNotFound(NotFound):
    pass


class LabourOverlaps(RuleViolated):
    pass


class NoteMissing(InvalidArgument):
    pass


class LinesOpen(RuleViolated):
    pass


class LinesUndecided(RuleViolated):
    pass


class DiagnosisIncomplete(RuleViolated):
    pass


class InspectorWorkedOnJob(RuleViolated):
    pass


class MeterNotRead(RuleViolated):
    pass


class MeterWentBackwards(InvalidArgument):
    pass


class NothingToInvoice(RuleViolated):
    pass
