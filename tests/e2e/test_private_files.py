"""What a stack keeps on disk, and who may read it."""

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from devstack.demo import Demo
from devstack.postgres import account_id
from devstack.stack import Stack
from testkit.commands import bayline

TOPIC = "bayline.vehicle.v1.VehicleEvent"


async def test_nobody_but_its_owner_reads_a_file_of_the_stack(
    demo: Demo, whole_stack: Stack, tmp_path: Path
) -> None:
    export = tmp_path / "vehicles.ndjson"
    exported = await bayline(whole_stack, "streams", "export", TOPIC, str(export))
    assert exported.code == 0, exported.err
    home, data = whole_stack.parts.home, whole_stack.parts.cluster().data

    modes = dict([*_below(home), *_below(data), (export, export.stat().st_mode)])

    assert {"audit", "log", "kafka", "postgres"} <= {path.name for path in modes}
    assert {path for path, mode in modes.items() if mode & 0o077} == set()
    if account := account_id():  # PostgreSQL's own user passes through, and nobody else
        assert stat.S_IMODE(home.stat().st_mode) == 0o710
        assert home.stat().st_gid == pwd.getpwuid(account).pw_gid
    else:
        assert stat.S_IMODE(home.stat().st_mode) == 0o700


def _below(folder: Path) -> Iterator[tuple[Path, int]]:
    """Each with its mode; meanwhile files come and go."""
    for top, folders, files in os.walk(folder):
        for path in (Path(top) / name for name in (*folders, *files)):
            with suppress(FileNotFoundError):
                yield path, path.lstat().st_mode
