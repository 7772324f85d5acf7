"""Subjects: one key for all that is said about a person, or about a job; forgotten once, for ever."""

from dataclasses import dataclass
from typing import NewType, TypeAlias

from eventstore.decider import Decider
from eventstore.store import Claim
from keyring.domain.errors import SubjectNotFound

SubjectName = NewType("SubjectName", str)  # `technicians/<id>`, `jobs/<id>`

FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class ForgetSubject:
    """`reference` is where the request is kept; an id, never words."""

    subject: SubjectName
    reference: str


@dataclass(frozen=True, slots=True)
class SubjectForgotten:
    subject: SubjectName
    reference: str


SubjectEvent: TypeAlias = SubjectForgotten


@dataclass(frozen=True, slots=True)
class Remembered:
    pass


@dataclass(frozen=True, slots=True)
class Forgotten:
    subject: SubjectName
    reference: str


State: TypeAlias = Remembered | Forgotten


def decide(command: ForgetSubject, state: State, has_key: bool) -> list[SubjectEvent]:
    if isinstance(state, Forgotten):
        return []
    if not has_key:
        raise SubjectNotFound("nothing was ever said about it", subject=command.subject)
    return [SubjectForgotten(command.subject, command.reference)]


def evolve(state: State, event: SubjectEvent) -> State:
    return Forgotten(event.subject, event.reference)


def claims(state: State) -> set[Claim]:
    """Whoever takes this claim destroys the key, in the same transaction (0001_create_log.sql)."""
    return {Claim(FORGOTTEN, state.subject)} if isinstance(state, Forgotten) else set()


SUBJECT: Decider[ForgetSubject, State, SubjectEvent, bool] = Decider(
    initial=Remembered(),
    decide=decide,
    evolve=evolve,
    claims=claims,
    scopes=frozenset({FORGOTTEN}),
)
