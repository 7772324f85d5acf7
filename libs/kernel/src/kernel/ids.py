"""Ids as a dependency: UUIDv7 (RFC 9562), which sort by time."""

import os
import time
from typing import Protocol
from uuid import UUID

UUID_VERSION_7 = 0x7 << 76
UUID_VARIANT = 0x2 << 62


class IdGenerator(Protocol):
    def new(self) -> UUID:
        """An id never given before."""
        ...


class Uuid7:
    """Version 7: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562, 5.7)."""

    def new(self) -> UUID:
        milliseconds = time.time_ns() // 1_000_000
        random = int.from_bytes(os.urandom(10), "big")
        high, low = random >> 68, random & ((1 << 62) - 1)
        return UUID(int=milliseconds << 80 | UUID_VERSION_7 | high << 64 | UUID_VARIANT | low)


class SequentialIds:
    """00000000-0000-7000-8000-000000000001, 2, 3 ... for tests that compare whole values."""

    def __init__(self) -> None:
        self._last = 0

    def new(self) -> UUID:
        self._last += 1
        return UUID(int=UUID_VERSION_7 | UUID_VARIANT | self._last)
