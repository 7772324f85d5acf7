"""Ids, and what a certification is worth at a moment."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NewType

SiteId = NewType("SiteId", str)
TechnicianId = NewType("TechnicianId", str)


@dataclass(frozen=True, slots=True)
class Certification:
    """Holds from `valid_from` until it expires or is revoked, whichever is first."""

    code: str
    valid_from: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def lasts_beyond(self, at: datetime) -> bool:
        return all(end is None or at < end for end in (self.expires_at, self.revoked_at))

    def revoked(self, at: datetime) -> "Certification":
        """An earlier revocation counts; what had ended by then stays as it is."""
        return replace(self, revoked_at=at) if self.lasts_beyond(at) else self
