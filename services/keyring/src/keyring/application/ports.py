"""What forgetting needs from outside."""

from collections.abc import Collection, Mapping
from typing import Protocol


class Keys(Protocol):
    async def unwrap(self, tenant: str, subjects: Collection[str]) -> Mapping[str, object]:
        """The keys there are; None for a forgotten subject, nothing for one never seen."""
        ...
