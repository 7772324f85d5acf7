"""What somebody who asks for a proof may be refused for."""

from kernel.errors import InvalidArgument, NotFound


class CheckpointNotSigned(NotFound):
    """Nothing of this tenant is proved yet."""


class AuditRecordNotFound(NotFound):
    """No checkpoint covers such a record: there is none, or it came within the last second."""


class SizeBeyondLog(InvalidArgument):
    """The log never was that long: such a checkpoint is of another log, or of one that was cut."""
