"""Helpers work when they are called, and none is left behind."""

import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from assembly.crew import Crew, HelperFailed


def _write(folder: Path, part: int) -> None:
    (folder / str(part)).write_text("done")


def _done(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _crew(*works: Callable[[], None]) -> Crew:
    return Crew.forked(works)


async def test_each_helper_does_its_part_before_the_help_is_over(tmp_path: Path) -> None:
    await _crew(*(partial(_write, tmp_path, part) for part in range(3))).help()

    assert _done(tmp_path) == ["0", "1", "2"]


def test_helpers_that_nobody_calls_end_without_having_done_anything(tmp_path: Path) -> None:
    crew = _crew(partial(_write, tmp_path, 0), partial(_write, tmp_path, 1))

    crew.dismiss()

    assert not any(helper.process.is_alive() for helper in crew.helpers)
    assert _done(tmp_path) == []


async def test_when_one_helper_fails_the_others_end_with_it() -> None:
    crew = _crew(partial(sys.exit, "a shard is missing"), signal.pause)

    with pytest.raises(ExceptionGroup) as failed:
        await crew.help()

    assert failed.group_contains(HelperFailed, match="stands above")
    assert not any(helper.process.is_alive() for helper in crew.helpers)
