import errno
import os
from pathlib import Path

import pytest

from testkit.chaos.disk import BLOCK, mounted


def test_a_full_disk_takes_nothing_until_it_is_no_longer_full(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        if disk is None:
            assert os.geteuid() != 0, "root may mount"
            return
        written = disk.folder / "written"

        with disk.full(), pytest.raises(OSError, match="No space left") as refused:
            written.write_bytes(bytes(BLOCK))

        assert refused.value.errno == errno.ENOSPC
        assert written.write_bytes(bytes(BLOCK)) == BLOCK
