"""The table of faults names tests, and the tests are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_every_test_that_the_table_of_faults_names_is_there() -> None:
    named = NAMED.findall((ROOT / "docs/faults.md").read_text())

    missing = [
        f"{path}::{test}" for path, test in named if f"def {test}(" not in (ROOT / path).read_text()
    ]

    assert missing == []
    assert named
