"""A little of `make chaos`, so that it is there when it is needed."""

from pathlib import Path

from testkit.chaos.run import run


async def test_twenty_seconds_of_chaos_break_no_promise(tmp_path: Path) -> None:
    report = await run(seed=20261124, minutes=1 / 3, history=tmp_path / "history.ndjson")

    assert report.holds, report.markdown()
    assert report.kills >= 5
    assert report.evidence.commands
