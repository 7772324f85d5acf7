"""What stands in the way of forgetting."""

from kernel.errors import NotFound


class SubjectNotFound(NotFound):
    pass
