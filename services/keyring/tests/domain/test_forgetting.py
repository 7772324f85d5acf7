from uuid import UUID

import pytest

from eventstore.store import Claim
from keyring.domain.errors import SubjectNotFound
from keyring.domain.subject import (
    ForgetSubject,
    Forgotten,
    Remembered,
    State,
    SubjectEvent,
    SubjectForgotten,
    SubjectName,
    claims,
    decide,
    evolve,
)
from testkit.given import Given

ADA = SubjectName(f"technicians/{UUID(int=1)}")
COMMAND = ForgetSubject(ADA, "DPO-117")

given: Given[State, SubjectEvent] = Given(evolve, Remembered())


def test_a_person_is_forgotten() -> None:
    assert given().when(decide, COMMAND, True) == [SubjectForgotten(ADA, "DPO-117")]


def test_whoever_was_forgotten_is_not_forgotten_again() -> None:
    forgotten = given(SubjectForgotten(ADA, "DPO-117"))

    assert forgotten.when(decide, ForgetSubject(ADA, "DPO-118"), False) == []


def test_nobody_is_forgotten_of_whom_nothing_was_said() -> None:
    with pytest.raises(SubjectNotFound):
        given().when(decide, COMMAND, False)


def test_the_claim_that_destroys_the_key_comes_with_the_event_and_stays() -> None:
    assert claims(Remembered()) == set()
    assert claims(Forgotten(ADA, "")) == {Claim("forgotten", ADA)}
