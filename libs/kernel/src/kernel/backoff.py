"""How long to rest before trying again: longer each time, and not in step with others."""

import random

FIRST_SECONDS = 0.05
MOST_SECONDS = 10.0


class Backoff:
    def __init__(self, first: float = FIRST_SECONDS, most: float = MOST_SECONDS) -> None:
        self._first, self._most = first, most
        self._next = first

    def next(self) -> float:
        seconds = self._next
        self._next = min(self._most, seconds * 2)
        return seconds * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter, not a secret

    def reset(self) -> None:
        self._next = self._first
