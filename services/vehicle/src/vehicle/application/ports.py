"""What the vehicle service needs from outside."""

from typing import Protocol


class Asker(Protocol):
    """Who asks for one thing, and whether he or she may have it."""

    def require(self, *, site: str = "") -> None:
        """Raises a `Forbidden` unless it may be done to a vehicle of this site."""
        ...
