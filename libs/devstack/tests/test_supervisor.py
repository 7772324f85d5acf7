"""Who looks after a stack, with processes that do nothing but live, sleep and end."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from threading import Event

import pytest

from devstack.components import Component, Parts
from devstack.environments import Environments
from devstack.ledger import Busy, Ledger, locked
from devstack.processes import Program, Running
from devstack.secrets import Secrets
from devstack.stack import Stack
from devstack.supervisor import (
    ASK_SECONDS,
    GRACE_SECONDS,
    PATIENCE_SECONDS,
    STEADY_SECONDS,
    Supervisor,
)

LIVES = "touch {ready}; exec sleep 60"
DIES = "echo no luck today; exit 3"
LONG = 1200  # seconds


@dataclass(frozen=True)
class Sleepers(Parts):
    """A server, and two services behind it; each does what its word of a shell says."""

    words: dict[str, str] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    settled: list[str] = field(default_factory=list)

    def phases(self) -> tuple[tuple[Component, ...], ...]:
        return (self._part("server"),), (self._part("one"), self._part("two"))

    def ready(self, name: str) -> Path:
        return self.home / f"{name}-is-ready"

    def _part(self, name: str) -> Component:
        def prepare() -> Program:
            self.ready(name).unlink(missing_ok=True)
            words = self.words.get(name, LIVES).format(ready=self.ready(name))
            return Program(
                name, ("/bin/sh", "-c", words), self.log(name), {"PATH": "/usr/bin:/bin"}
            )

        def complaint() -> str:
            return self.complaints.get(name, "" if self.ready(name).exists() else "starting")

        def settle() -> list[str]:
            self.settled.append(name)
            return []

        return Component(
            name, (), prepare, complaint, settle, "", "", lambda: name not in self.deaf
        )


@dataclass
class Watch:
    """A supervisor whose hours pass as fast as they can."""

    parts: Sleepers
    seconds: float = 0.0
    said: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stack = Stack(self.parts, Ledger(self.parts.home / "processes.json"))
        self.supervisor = Supervisor(self.stack, self.say, now=lambda: self.seconds)

    def say(self, name: str, text: str) -> None:
        self.said.append((name, text))

    def looks(self, seconds: float) -> None:
        """Once a second; in between, whoever dies at once has died, and the others have begun."""
        for _ in range(int(seconds)):
            self.supervisor.look()
            self.wait_for_processes()
            self.seconds += 1

    def wait_for_processes(self) -> None:
        for name in self.stack.running():
            while name in self.stack.running() and not self.parts.ready(name).exists():
                os.sched_yield()

    def all_up(self) -> dict[str, Running]:
        self.looks(10)
        assert set(self.stack.running()) == {"server", "one", "two"}
        return self.stack.running()

    def told(self, name: str, word: str) -> list[str]:
        return [text for who, text in self.said if who == name and word in text]

    def said_of(self, name: str) -> list[str]:
        return self.told(name, "")

    def pid(self, name: str) -> int:
        return self.stack.running()[name].pid


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    environments = Environments(Secrets(tmp_path / "secrets.json"))
    made = Watch(Sleepers(tmp_path, environments))
    yield made
    made.stack.down(made.say)


def _kill(watch: Watch, name: str) -> None:
    os.kill(watch.pid(name), SIGKILL)
    while name in watch.stack.running():
        os.sched_yield()


def test_services_start_once_their_servers_are_ready_and_settled(watch: Watch) -> None:
    watch.supervisor.look()
    first = set(watch.stack.running())

    watch.all_up()

    assert first == {"server"}
    assert watch.parts.settled[0] == "server"


def test_what_was_killed_is_back_and_the_others_are_untouched(watch: Watch) -> None:
    before = watch.all_up()

    _kill(watch, "one")
    watch.looks(3)

    after = watch.all_up()
    assert after["one"].pid != before["one"].pid
    assert (after["server"], after["two"]) == (before["server"], before["two"])
    [told] = watch.told("one", "has ended")
    assert told == "has ended: killed by SIGKILL; it wrote nothing; it is started again in 1 s"


def test_what_dies_at_once_is_tried_ever_more_rarely_and_not_told_for_ever(watch: Watch) -> None:
    watch.parts.words["one"] = DIES
    watch.looks(5)
    before = watch.pid("two")

    watch.looks(LONG)

    tried = watch.parts.log("one").read_text().count("no luck")
    assert LONG / 61 <= tried <= LONG / 60 + 10
    ends = watch.told("one", "has ended")
    assert len(ends) == len(watch.said_of("one")) - len(watch.told("one", "started (")) <= 8
    assert "exit code 3; its last line: no luck today" in ends[0]
    assert "ends again and again, and is tried every 60 s" in ends[-1]
    assert watch.pid("two") == before


def test_who_was_steady_may_end_again_without_a_long_pause(watch: Watch) -> None:
    watch.all_up()
    for _ in range(3):
        watch.looks(STEADY_SECONDS + 10)
        _kill(watch, "one")
        watch.looks(3)

    pauses = [text.rpartition(" in ")[2] for text in watch.told("one", "has ended")]
    assert pauses == ["1 s"] * 3


def test_what_is_stopped_is_told_once_and_continued_after_a_while(watch: Watch) -> None:
    before = watch.all_up()["one"]
    os.kill(before.pid, SIGSTOP)
    while not before.is_asleep():
        os.sched_yield()

    watch.looks(PATIENCE_SECONDS)
    slept = before.is_asleep()
    watch.looks(2)
    while before.is_asleep():
        os.sched_yield()
    watch.looks(ASK_SECONDS)

    assert slept
    assert watch.stack.running()["one"] == before
    assert len(watch.told("one", "is stopped by a signal")) == 1
    assert len(watch.told("one", "continued")) == 1


def test_what_does_not_answer_is_started_again(watch: Watch) -> None:
    before = watch.all_up()
    watch.parts.complaints["one"] = "timed out"
    watch.parts.deaf.add("one")

    watch.looks(PATIENCE_SECONDS)
    patient = watch.pid("one") == before["one"].pid
    watch.looks(10)

    assert patient
    assert watch.pid("one") != before["one"].pid
    assert watch.pid("two") == before["two"].pid
    assert len(watch.told("one", "does not answer")) == 1


def test_what_says_that_it_is_not_ready_is_told_and_left_alone(watch: Watch) -> None:
    """An audit that found damage, a service that waits for its database: they know why."""
    before = watch.all_up()
    watch.parts.complaints["one"] = "the log of acme was changed"

    watch.looks(LONG)

    assert watch.stack.running() == before
    assert watch.told("one", "not ready") == ["is not ready: the log of acme was changed"]


def test_nobody_is_called_unready_while_it_starts(watch: Watch) -> None:
    watch.parts.complaints["one"] = "still starting"
    watch.looks(GRACE_SECONDS)
    early = watch.told("one", "not ready")

    watch.looks(3)

    assert (early, len(watch.told("one", "not ready"))) == ([], 1)


def test_what_somebody_took_down_is_left_alone(watch: Watch) -> None:
    watch.all_up()

    watch.stack.down(watch.say)
    watch.looks(LONG)

    assert watch.stack.running() == {}
    assert len(watch.told("one", "was taken down")) == 1


def test_nothing_is_started_while_another_command_is_at_work(watch: Watch) -> None:
    watch.all_up()
    _kill(watch, "one")

    with Ledger(watch.parts.home / "processes.json").held():
        watch.looks(5)
        meanwhile = set(watch.stack.running())
    watch.looks(5)

    assert meanwhile == {"server", "two"}
    assert set(watch.stack.running()) == {"server", "one", "two"}


def test_what_cannot_be_started_keeps_nobody_else_from_it(watch: Watch) -> None:
    watch.parts.words["one"] = "{nobody_knows_this}"

    watch.looks(LONG)

    assert set(watch.stack.running()) == {"server", "two"}
    assert len(watch.said_of("one")) == 1


def test_who_is_told_to_end_stops_all_of_it(watch: Watch) -> None:
    watch.all_up()
    told_to_end = Event()
    told_to_end.set()

    watch.supervisor.run(told_to_end)

    assert watch.stack.ledger.read() == {}


def test_one_supervisor_is_enough(watch: Watch) -> None:
    with (
        locked(watch.parts.home / "supervise.lock", Busy("of the first")),
        pytest.raises(Busy, match="supervised already"),
    ):
        watch.supervisor.run(Event())
