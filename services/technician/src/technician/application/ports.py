"""What the technician service needs from outside."""

from typing import Protocol


class Asker(Protocol):
    """Who asks for one thing, and whether he or she may have it."""

    def require(self, *, site: str = "", assignee: str = "") -> None:
        """Raises a `Forbidden` unless it may be done to this technician of this site."""
        ...
