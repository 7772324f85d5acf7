"""Given what happened, when this is asked for, then that happens: the language of domain tests."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Concatenate, Generic, ParamSpec, TypeVar

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Situation(Generic[S, E]):
    """Where a stream stands."""

    state: S

    def when(
        self,
        decide: Callable[Concatenate[C, S, P], list[E]],
        command: C,
        *facts: P.args,
        **more: P.kwargs,
    ) -> list[E]:
        """The events that follow; a refusal is raised, so put `pytest.raises` around it."""
        return decide(command, self.state, *facts, **more)


@dataclass(frozen=True, slots=True)
class Given(Generic[S, E]):
    """`given: Given[Job, JobEvent] = Given(evolve, NoJob())`, then `given(JobOpened(JOB))`."""

    evolve: Callable[[S, E], S]
    initial: S

    def __call__(self, *events: E) -> Situation[S, E]:
        return Situation(reduce(self.evolve, events, self.initial))
