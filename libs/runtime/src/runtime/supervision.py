"""Tasks that run as long as the process: one that dies is begun again, unless its bug repeats itself."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from inspect import isawaitable
from typing import Protocol

import structlog
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from kernel.backoff import Backoff
from kernel.errors import Unavailable

FIRST_SECONDS, MOST_SECONDS = 0.2, 30.0  # of rest before it is begun again
STEADY_SECONDS = 60.0  # who has run so long has got over what it died of
MOST_BUGS = 5
PASSING = (asyncio.CancelledError, ConnectionError, TimeoutError, Unavailable)

_METER = metrics.get_meter("bayline.runtime")
_RESTARTS = _METER.create_counter(
    "bayline.task.restarts",
    unit="{restart}",
    description="tasks that died and were begun again",
)
_supervised: set["Supervised"] = set()

log = structlog.get_logger()


class Task(Protocol):
    """Runs as long as the process. A `stop()`, if it has one, lets it finish what it has begun.

    A `name`, if it has one, tells it from others of its kind, and a `complaint` says why it stands
    still though it runs. `run` may be called again after it
    has ended, however it ended, and then begins from what is stored.
    """

    async def run(self) -> None: ...


class Returned(Exception):
    """A task ended, and nobody had told it to."""


class Supervised:
    """One task. What ends it but a stop is a death: a return, an error, a cancellation not by us.

    Trouble that passes may kill it for as long as it lasts. A bug that kills it `MOST_BUGS` times
    in the same way, without a steady run in between, comes out of `run`.
    """

    def __init__(
        self, task: Task, *, first: float = FIRST_SECONDS, steady: float = STEADY_SECONDS
    ) -> None:
        self.name = str(getattr(task, "name", type(task).__name__))
        self.complaint = ""  # until it runs steadily again
        self._task, self._steady = task, steady
        self._backoff = Backoff(first, MOST_SECONDS)
        self._stopping = asyncio.Event()
        self._attempt: asyncio.Task[None] | None = None
        self._deaths: list[str] = []  # kinds, since it last ran steadily

    async def run(self) -> None:
        _RESTARTS.add(0, {"bayline.task": self.name})  # so that the first one is seen as a rise
        _supervised.add(self)
        try:
            while not self._stopping.is_set():
                self._attempt = asyncio.create_task(self._task.run(), name=self.name)
                await self._watch(self._attempt)
                if not self._stopping.is_set():
                    await self._begin_again(_cause(self._attempt))
        finally:
            _supervised.discard(self)

    async def health(self) -> str:
        """Why it stands still: it died, or says so itself."""
        return self.complaint or getattr(self._task, "complaint", "")

    async def stop(self) -> None:
        self._stopping.set()
        stop = getattr(self._task, "stop", None)
        if stop is not None:
            answer = stop()
            if isawaitable(answer):
                await answer
        elif self._attempt is not None:
            self._attempt.cancel()

    async def _watch(self, attempt: asyncio.Task[None]) -> None:
        """Returns when it has ended. A cancellation met here is our own, and takes it along."""
        try:
            await asyncio.wait([attempt], timeout=self._steady)
            if not attempt.done():
                self._recovered()
                await asyncio.wait([attempt])
        except asyncio.CancelledError:
            attempt.cancel()
            await asyncio.wait([attempt])
            raise

    def _recovered(self) -> None:
        if self._deaths:
            log.info("task_recovered", task=self.name, deaths=len(self._deaths))
        self.complaint = ""
        self._deaths.clear()
        self._backoff.reset()

    async def _begin_again(self, error: BaseException) -> None:
        """After a rest. Each kind of death is told once; the counter has them all."""
        kind = type(error).__name__
        if kind not in self._deaths:
            log.error("task_died", task=self.name, error=repr(error), exc_info=error)
        self._deaths.append(kind)
        self.complaint = f"died {len(self._deaths)} times, of {error!r} at last"
        if not isinstance(error, PASSING) and self._deaths[-MOST_BUGS:] == [kind] * MOST_BUGS:
            raise error
        _RESTARTS.add(1, {"bayline.task": self.name})
        with suppress(TimeoutError):
            async with asyncio.timeout(self._backoff.next()):
                await self._stopping.wait()


def _cause(attempt: asyncio.Task[None]) -> BaseException:
    if attempt.cancelled():
        return asyncio.CancelledError("cancelled, and not by us")
    return attempt.exception() or Returned("it returned")


def _down(_: CallbackOptions) -> Iterator[Observation]:
    for each in _supervised:
        yield Observation(int(bool(each.complaint)), {"bayline.task": each.name})


_METER.create_observable_gauge(
    "bayline.task.down",
    [_down],
    unit="{task}",
    description="1 from the death of a task until it has run steadily again",
)
