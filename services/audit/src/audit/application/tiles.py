"""A log as files (C2SP tlog-tiles): what other transparency tools read, and what needs no database."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TILE_LEVELS = 8
TILE = 1 << TILE_LEVELS
MOST_BYTES = 0xFFFF  # of an entry, by the format


class EntryTooLarge(Exception):
    """The format has no place for so many bytes."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Hashes of subtrees of one level, or records where `level` is None, from `first` on."""

    level: int | None
    first: int
    count: int

    @property
    def path(self) -> str:
        kind = "entries" if self.level is None else str(self.level // TILE_LEVELS)
        partial = f".p/{self.count}" if self.count < TILE else ""
        return f"tile/{kind}/{_number(self.first // TILE)}{partial}"


def tiles(size: int) -> Iterator[Tile]:
    """All files of a log of that size, but its checkpoint."""
    yield from _row(None, size)
    level = 0
    while size >> level:
        yield from _row(level, size >> level)
        level += TILE_LEVELS


def bundle(records: Sequence[bytes], first: int) -> bytes:
    """Records in a row. Raises `EntryTooLarge`."""
    for index, record in enumerate(records, first):
        if len(record) > MOST_BYTES:
            raise EntryTooLarge(f"record {index} has {len(record)} bytes, more than {MOST_BYTES}")
    return b"".join(struct.pack(">H", len(record)) + record for record in records)


def unbundled(content: bytes) -> list[bytes]:
    records, at = [], 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 2], "big")
        records.append(content[at + 2 : at + 2 + length])
        at += 2 + length
    return records


def _row(level: int | None, count: int) -> Iterator[Tile]:
    for first in range(0, count, TILE):
        yield Tile(level, first, min(TILE, count - first))


def _number(index: int) -> str:
    """1234067 -> x001/x234/067."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups))
