"""What stands in the way of a vehicle's change."""

from kernel.errors import AlreadyExists, InvalidArgument, NotFound, RuleViolated


class VehicleNotFound(NotFound):
    pass


class VehicleRegisteredAlready(AlreadyExists):
    pass


class VehicleSoldAlready(RuleViolated):
    pass


class FormerVehicleUnknown(InvalidArgument):
    pass


class VinMalformed(InvalidArgument):
    pass


class VinCheckDigitWrong(InvalidArgument):
    pass


class VinAlreadyRegistered(AlreadyExists):
    pass
