"""The golden corpus: the bytes of every event ever released are decoded for ever."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic_settings import BaseSettings

from eventstore.mapping import OneofCodec

E = TypeVar("E")


class Golden(BaseSettings, frozen=True):
    """`BAYLINE_GOLDEN_WRITE=1` adds what is missing; nothing is ever overwritten."""

    bayline_golden_write: bool = False


def check_golden(
    codec: OneofCodec[E], folder: Path, samples: Mapping[type[E], Iterable[E]]
) -> None:
    """`<EventName>.<n>.bin` in `folder` holds the record of the n-th sample of an event.

    Each file must decode to its sample, and each sample must have its file. A sample stays as
    it is: for a new field, add a sample. Files of events that were replaced have no samples
    any more: they must still decode.
    """
    expected = {
        f"{event.__name__}.{number}.bin": sample
        for event, given in samples.items()
        for number, sample in enumerate(given, start=1)
    }
    if Golden().bayline_golden_write:
        _write_missing(codec, folder, expected)
    found = {path.name: path.read_bytes() for path in folder.glob("*.bin")}
    missing = sorted(expected.keys() - found.keys())
    assert not missing, f"run once with BAYLINE_GOLDEN_WRITE=1 to add {missing}"
    for name, data in found.items():
        decoded = codec.decode(name, data, 1)
        assert name not in expected or decoded == expected[name], name


def _write_missing(codec: OneofCodec[E], folder: Path, expected: Mapping[str, E]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, sample in expected.items():
        path = folder / name
        if not path.exists():
            path.write_bytes(codec.encode(sample).SerializeToString(deterministic=True))
