"""Looks after a stack: starts what ends, continues what is stopped, and says each thing once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event

from devstack.components import Component
from devstack.disk import said_if_full
from devstack.endings import ending
from devstack.failure import StackFailure
from devstack.ledger import Busy, locked
from devstack.processes import Running, end_of, stop
from devstack.rotation import rotate
from devstack.stack import Say, Stack

LOOK_SECONDS = 1.0
ASK_SECONDS = 5.0  # how often one that is ready is asked whether it still is
GRACE_SECONDS = 10.0  # nobody is ready at once
PATIENCE_SECONDS = 60.0  # with one that is stopped, or does not answer
STEADY_SECONDS = 60.0  # who has lived so long may end again without a longer pause
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


@dataclass(slots=True)
class Watched:
    """What is known of one process. Times are those of the supervisor's clock; None is never."""

    seen: bool = False
    ready: bool = False
    began: float | None = None
    ended: int = 0  # the process whose end is known
    pause: float = 0.0  # before the next start
    start_at: float = 0.0
    ask_at: float = 0.0
    since: dict[str, float] = field(default_factory=dict)  # that it is stopped, silent, not ready
    told: set[str] = field(default_factory=set)  # since it was ready

    def lasts(self, what: str, now: float) -> float:
        """For how long it has been so, from the first time that this is asked."""
        return now - self.since.setdefault(what, now)

    def back_off(self, now: float) -> None:
        steady = self.began is None or now - self.began >= STEADY_SECONDS
        self.pause = FIRST_PAUSE if steady else min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self.pause))
        self.start_at = now + self.pause


@dataclass(slots=True)
class Supervisor:
    stack: Stack
    say: Say
    now: Callable[[], float] = time.monotonic
    watched: dict[str, Watched] = field(default_factory=dict)
    _phases: Sequence[Sequence[Component]] = ()
    _known_at: float = float("-inf")

    def run(self, told_to_end: Event) -> None:
        """Until it is told to end; then it stops everything, as `bayline down` does."""
        taken = Busy("this stack is supervised already", hint="there can be one supervisor only")
        with locked(self.stack.parts.home / "supervise.lock", taken):
            while not told_to_end.is_set():
                self.look()
                told_to_end.wait(LOOK_SECONDS)
            self._end()

    def look(self) -> None:
        """Once at each; whatever is the matter with one, the others are looked after."""
        self._try("logs", lambda: rotate(self.stack.parts.logs()))
        servers, *behind = self._parts()
        for part in servers:
            self._try(part.name, partial(self._look_at, part, may_start=True))
        served = all(self._of(part.name).ready for part in servers)
        for part in (part for phase in behind for part in phase):
            self._try(part.name, partial(self._look_at, part, may_start=served))

    def _parts(self) -> Sequence[Sequence[Component]]:
        """They are made of the secrets, which another command may have replaced."""
        if self.now() - self._known_at >= ASK_SECONDS:
            self._phases, self._known_at = self.stack.parts.phases(), self.now()
        return self._phases

    def _of(self, name: str) -> Watched:
        return self.watched.setdefault(name, Watched())

    def _try(self, name: str, step: Callable[[], None]) -> None:
        try:
            with said_if_full(*self.stack.parts.folders()):
                step()
        except Busy:
            return  # another command is at it: look again when it is done
        except StackFailure as failure:
            self._tell(name, failure.message, f"{failure.message}; {failure.hint}")
        except Exception as error:  # noqa: BLE001 -- of one process; the others must be looked after
            self._tell(name, repr(error), f"cannot be looked after: {error!r}")

    def _tell(self, name: str, fact: str, text: str) -> None:
        told = self._of(name).told
        if fact not in told:
            told.add(fact)
            self.say(name, text)

    def _look_at(self, part: Component, *, may_start: bool) -> None:
        one, running = self._of(part.name), self.stack.ledger.read().get(part.name)
        one.seen |= running is not None
        if running is None and one.seen:
            one.ready = False
            self._tell(part.name, "down", "was taken down: left alone; `bayline up` starts it")
        elif running is None or running.process() is None:
            self._see_ended(part, running, may_start=may_start)
        elif running.is_asleep():
            self._see_stopped(part, running)
        else:
            one.since.pop("stopped", None)
            self._ask(part, running)

    def _see_ended(self, part: Component, running: Running | None, *, may_start: bool) -> None:
        one, now = self._of(part.name), self.now()
        one.ready = False
        if running is not None and one.ended != running.pid:
            self._note_end(running)
            one.ended = running.pid
            one.back_off(now)
            self._tell_end(part, one)
        if may_start and now >= one.start_at:
            self._start(part, one, running)

    def _note_end(self, running: Running) -> None:
        with self.stack.ledger.held():
            self.stack.ledger.ended(running, end_of(running))

    def _tell_end(self, part: Component, one: Watched) -> None:
        known = self.stack.ledger.read()[part.name]
        again = f"it is started again in {one.pause:.0f} s"
        if one.pause == LONGEST_PAUSE:
            again = f"it ends again and again, and is tried every {one.pause:.0f} s from now on"
        why = ending(known, self.stack.parts.log(part.name))
        self._tell(part.name, f"ended {one.pause}", f"has ended: {why}; {again}")

    def _start(self, part: Component, one: Watched, ended: Running | None) -> None:
        one.start_at = self.now() + max(one.pause, FIRST_PAUSE)  # if it cannot be started at all
        started = self.stack.start_again(part, ended)
        one.began, one.seen = self.now(), True
        one.since.clear()
        self._tell(part.name, f"started {one.pause}", f"started (pid {started.pid})")

    def _see_stopped(self, part: Component, running: Running) -> None:
        one = self._of(part.name)
        one.ready = False
        self._tell(part.name, "stopped", f"is stopped by a signal (pid {running.pid})")
        if one.lasts("stopped", self.now()) >= PATIENCE_SECONDS:
            running.wake()
            self._tell(part.name, "continued", f"continued after {PATIENCE_SECONDS:.0f} s")

    def _ask(self, part: Component, running: Running) -> None:
        one, now = self._of(part.name), self.now()
        if now < one.ask_at:
            return
        complaint = part.complaint()
        if complaint:
            one.ready = False
            self._see_unready(part, running, complaint)
        else:
            self._see_ready(part, running)

    def _see_ready(self, part: Component, running: Running) -> None:
        one = self._of(part.name)
        if not one.ready:
            for line in part.settle():
                self.say(part.name, line)
            self._tell(part.name, f"ready {one.pause}", f"is ready (pid {running.pid})")
        one.ready, one.ask_at = True, self.now() + ASK_SECONDS
        one.since.clear()
        if one.began is None or self.now() - one.began >= STEADY_SECONDS:
            one.told.clear()

    def _see_unready(self, part: Component, running: Running, complaint: str) -> None:
        """One that answers knows why it is not ready: to start it again would help nobody."""
        one, now = self._of(part.name), self.now()
        if one.lasts("not ready", now) >= GRACE_SECONDS:
            self._tell(part.name, "not ready", f"is not ready: {complaint}")
        if part.answers():
            one.since.pop("silent", None)
        elif one.lasts("silent", now) >= PATIENCE_SECONDS:
            waited = f"{PATIENCE_SECONDS:.0f} s"
            self._tell(part.name, "silent", f"does not answer for {waited}: ended, to begin anew")
            stop(running)

    def _end(self) -> None:
        """Another command that is at work ends first."""
        while True:
            try:
                self.stack.down(self.say)
            except Busy as busy:
                self._tell("stack", busy.message, f"{busy.message}: waited for")
                time.sleep(LOOK_SECONDS)
            else:
                return
