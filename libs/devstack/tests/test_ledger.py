from dataclasses import replace
from pathlib import Path
from signal import SIGINT

import pytest

from devstack.failure import StackFailure
from devstack.ledger import Ledger
from devstack.processes import Running

POSTGRES = Running("postgres", 4711, 1234, SIGINT)
KAFKA = Running("kafka", 4712, 1240)


def test_the_next_command_knows_what_was_started(tmp_path: Path) -> None:
    Ledger(tmp_path / "processes.json").add(POSTGRES)
    Ledger(tmp_path / "processes.json").add(KAFKA)

    assert Ledger(tmp_path / "processes.json").read() == {"postgres": POSTGRES, "kafka": KAFKA}


def test_what_was_stopped_is_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "processes.json")
    ledger.add(POSTGRES)

    ledger.remove("postgres")

    assert ledger.read() == {}


def test_how_a_process_ended_is_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "processes.json")
    ledger.add(POSTGRES)

    ledger.ended(POSTGRES, "killed by SIGKILL")

    assert ledger.read()["postgres"].end == "killed by SIGKILL"


def test_the_end_of_one_is_not_told_of_its_successor(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "processes.json")
    ledger.add(replace(POSTGRES, pid=4800))

    ledger.ended(POSTGRES, "killed by SIGKILL")

    assert ledger.read()["postgres"].end == ""


def test_a_ledger_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    file = tmp_path / "processes.json"
    file.write_text('[{"name": "kafka", "pid": 4712, "started": 1240, "stop_signal": 15}]')

    assert Ledger(file).read() == {"kafka": KAFKA}


def test_two_commands_do_not_change_one_stack_at_the_same_time(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "processes.json"), Ledger(tmp_path / "processes.json")

    with (
        first.held(),
        pytest.raises(StackFailure, match="another bayline command"),
        second.held(),
    ):
        pass


def test_the_next_command_may_when_the_first_has_ended(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "processes.json")
    with ledger.held():
        pass

    with ledger.held():
        assert ledger.read() == {}
