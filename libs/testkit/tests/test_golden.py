from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from testkit.events import CarReturned, LoanEvent, MeterRead, loan_codec
from testkit.golden import check_golden
from testkit.store_contract import MONDAY

CODEC = loan_codec()
SAMPLES: Mapping[Any, list[LoanEvent]] = {
    MeterRead: [MeterRead(1, 10), MeterRead(2, 0)],
    CarReturned: [CarReturned(MONDAY)],
}


def write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, samples: Mapping[Any, list[LoanEvent]]
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv("BAYLINE_GOLDEN_WRITE", "1")
        check_golden(CODEC, folder, samples)


def test_a_corpus_once_written_is_decoded_ever_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "golden"
    write(folder, monkeypatch, SAMPLES)

    check_golden(CODEC, folder, SAMPLES)
    check_golden(CODEC, folder, {})

    assert sorted(path.name for path in folder.iterdir()) == [
        "CarReturned.1.bin",
        "MeterRead.1.bin",
        "MeterRead.2.bin",
    ]


def test_an_event_without_golden_bytes_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, {MeterRead: [MeterRead(1, 10)]})

    with pytest.raises(AssertionError, match=r"add \['CarReturned.1.bin', 'MeterRead.2.bin'\]"):
        check_golden(CODEC, tmp_path, SAMPLES)


def test_bytes_that_mean_something_else_now_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, SAMPLES)

    with pytest.raises(AssertionError, match=r"MeterRead\.1\.bin"):
        write(tmp_path, monkeypatch, {MeterRead: [MeterRead(1, 11)]})
