"""Lines to columns: one Parquet file, the same bytes for the same lines."""

from collections.abc import Iterator, Mapping
from pathlib import Path

BLOCK = 1 << 18
MEMORY = "256MB"  # of one conversion; what is more goes to its folder


def append(file: Path, chunk: bytes) -> None:
    with file.open("ab") as stream:
        stream.write(chunk)


def blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block


def convert(lines: Path, target: Path, types: Mapping[str, str]) -> None:
    """In the order of the lines, by one thread: so two runs write the same bytes."""
    import duckdb  # noqa: PLC0415 -- 60 MB that a gateway needs only for this

    folder = str(target.parent)
    with duckdb.connect(
        config={"threads": 1, "memory_limit": MEMORY, "temp_directory": folder}
    ) as database:
        rows = database.read_json(str(lines), columns=dict(types), format="newline_delimited")
        rows.write_parquet(str(target), compression="zstd")
