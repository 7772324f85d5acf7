"""What stands in the way of a technician's change."""

from kernel.errors import AlreadyExists, InvalidArgument, NotFound, RuleViolated


class TechnicianNotFound(NotFound):
    pass


class TechnicianRegisteredAlready(AlreadyExists):
    pass


class TechnicianInactive(RuleViolated):
    pass


class PersonnelNumberTaken(AlreadyExists):
    pass


class CertificationEndsBeforeItBegins(InvalidArgument):
    pass


class TooManyCertifications(RuleViolated):
    pass


class CertificationNotHeld(RuleViolated):
    pass
