"""Each mutant takes something out that is there, and names tests that are there."""

import re
from pathlib import Path

from testkit.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\w+")


def test_every_mutant_still_has_what_it_takes_out() -> None:
    gone = [
        mutant.promise
        for mutant in MUTANTS
        if (ROOT / mutant.file).read_text().count(mutant.kept) != 1
    ]

    assert gone == []


def test_every_test_that_a_mutant_names_is_there() -> None:
    contract = (ROOT / "libs/testkit/src/testkit/store_contract.py").read_text()
    missing = [
        test
        for mutant in MUTANTS
        for test in mutant.tests
        if f"def {NAME.findall(test.rpartition('::')[2])[0]}("
        not in (ROOT / test.partition("::")[0]).read_text() + contract
    ]

    assert missing == []
