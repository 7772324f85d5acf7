from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from devstack.databases import Database
from eventstore.keyring import InMemoryKeyring, Key, SubjectForgotten
from eventstore.postgres import PostgresEventStore
from eventstore.sealing import SealBroken, Sealing
from kernel.clock import FixedClock
from kernel.personal import ERASED, Personal, Sealed
from testkit.events import (
    LOAN_LOG,
    CarLent,
    LoanEvent,
    MeterCorrected,
    MeterRead,
    loan_codec,
)
from testkit.store_contract import (
    ANNA,
    MONDAY,
    NORTH,
    SOUTH,
    VAN,
    a_stream,
    put,
)

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[Any]]

CODEC = loan_codec()
BEN = Personal("borrowers/ben", "Ben, who drives")
STREAM = a_stream()


class CountingKeyring(InMemoryKeyring):
    def __init__(self) -> None:
        super().__init__()
        self.unwrapped: list[set[str]] = []
        self.created: list[str] = []

    async def unwrap(self, tenant: str, subjects: Collection[str]) -> Mapping[str, Key | None]:
        self.unwrapped.append(set(subjects))
        return await super().unwrap(tenant, subjects)

    async def create(self, tenant: str, subject: str) -> Key:
        self.created.append(subject)
        return await super().create(tenant, subject)


@dataclass(frozen=True, slots=True)
class View:
    """Words at every depth that a state may have."""

    borrower: Personal | None
    by_name: Mapping[str, tuple[Personal, ...]]
    others: frozenset[Personal]
    count: int = 0


BERT, CARL = (Personal(f"borrowers/{name.lower()}", name) for name in ("Bert", "Carl"))


async def sealed_event(
    sealing: Sealing, event: LoanEvent, *, stream: UUID = STREAM, version: int = 1
) -> LoanEvent:
    record = CODEC.encode(event)
    await sealing.seal([record], NORTH, stream, version - 1)
    return CODEC.decode(CODEC.type_of(event), record.SerializeToString(), version)


async def sealed_words(sealing: Sealing) -> tuple[Personal, Sealed]:
    event = await sealed_event(sealing, CarLent(VAN, ANNA, MONDAY))
    assert isinstance(event, CarLent)
    assert event.borrower.sealed is not None
    return event.borrower, event.borrower.sealed


async def test_words_are_sealed_in_their_place_and_opened_there() -> None:
    sealing = Sealing(InMemoryKeyring())
    event = MeterCorrected(1, 2, MONDAY, (ANNA, BEN, ANNA))

    stored = await sealed_event(sealing, event, version=7)

    assert isinstance(stored, MeterCorrected)
    assert [each.text for each in stored.reasons] == [None, None, None]
    assert [each.sealed.field for each in stored.reasons if each.sealed] == [
        "bayline.testkit.v1.MeterCorrected/4[0]",
        "bayline.testkit.v1.MeterCorrected/4[1]",
        "bayline.testkit.v1.MeterCorrected/4[2]",
    ]
    assert {each.sealed.version for each in stored.reasons if each.sealed} == {7}
    assert await sealing.reveal(NORTH, STREAM, stored) == event


@pytest.mark.parametrize("change", ["tenant", "stream", "version", "field", "ciphertext"])
async def test_a_seal_cannot_be_carried_elsewhere(change: str) -> None:
    keys = InMemoryKeyring()
    sealing = Sealing(keys)
    words, sealed = await sealed_words(sealing)
    keys._keys[SOUTH, words.subject] = keys._keys[NORTH, words.subject]
    tenant = SOUTH if change == "tenant" else NORTH
    stream = a_stream() if change == "stream" else STREAM
    moved = {
        "version": replace(sealed, version=2),
        "field": replace(sealed, field="bayline.testkit.v1.CarLent/3"),
        "ciphertext": replace(
            sealed, ciphertext=bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:]
        ),
    }.get(change, sealed)

    with pytest.raises(SealBroken):
        await sealing.reveal(tenant, stream, replace(words, sealed=moved))
    assert await sealing.reveal(NORTH, STREAM, words) == ANNA


async def test_every_shape_of_state_is_opened_with_one_question() -> None:
    keys = CountingKeyring()
    sealed = await sealed_event(Sealing(keys), MeterCorrected(1, 2, MONDAY, (ANNA, BEN)))
    assert isinstance(sealed, MeterCorrected)
    anna, ben = sealed.reasons
    keys.unwrapped.clear()
    view = View(anna, {"a": (ben, anna), "b": ()}, frozenset({ben}), 3)

    revealed = await Sealing(keys).reveal(NORTH, STREAM, [view, None])

    assert revealed == [View(ANNA, {"a": (BEN, ANNA), "b": ()}, frozenset({BEN}), 3), None]
    assert keys.unwrapped == [{ANNA.subject, BEN.subject}]


async def test_many_streams_are_opened_with_one_question() -> None:
    keys, other = CountingKeyring(), a_stream()
    anna = await sealed_event(Sealing(keys), CarLent(VAN, ANNA, MONDAY))
    ben = await sealed_event(Sealing(keys), CarLent(VAN, BEN, MONDAY), stream=other)
    keys.unwrapped.clear()

    revealed = await Sealing(keys).reveal_all(NORTH, [(STREAM, anna), (other, ben)])

    assert revealed == [CarLent(VAN, ANNA, MONDAY), CarLent(VAN, BEN, MONDAY)]
    assert keys.unwrapped == [{ANNA.subject, BEN.subject}]


async def test_what_holds_no_sealed_words_is_returned_as_it_is() -> None:
    keys = CountingKeyring()
    view = View(ANNA, {"a": (BEN,)}, frozenset(), 3)

    assert await Sealing(keys).reveal(NORTH, STREAM, view) is view
    assert keys.unwrapped == []


async def test_a_forgotten_subject_reads_as_erased_and_is_not_written_about() -> None:
    keys = InMemoryKeyring()
    sealing = Sealing(keys)
    words, _ = await sealed_words(sealing)
    await keys.forget(NORTH, ANNA.subject)
    sealing.drop(NORTH, ANNA.subject)

    assert await sealing.reveal(NORTH, STREAM, words) == Personal(ANNA.subject, ERASED)
    with pytest.raises(SubjectForgotten):
        await sealed_words(sealing)


async def test_a_key_that_was_lost_is_not_taken_for_an_erasure() -> None:
    words, _ = await sealed_words(Sealing(InMemoryKeyring()))

    with pytest.raises(SealBroken, match="borrowers/anna"):
        await Sealing(InMemoryKeyring()).reveal(NORTH, STREAM, words)


async def test_a_key_is_held_for_a_minute_and_no_longer() -> None:
    clock, keys = FixedClock(MONDAY), CountingKeyring()
    sealing = Sealing(keys, clock)
    words, _ = await sealed_words(sealing)
    await keys.forget(NORTH, ANNA.subject)
    keys.unwrapped.clear()

    for _ in range(3):
        clock.advance(timedelta(seconds=19))
        assert await sealing.reveal(NORTH, STREAM, words) == ANNA
    clock.advance(timedelta(seconds=4))

    assert await sealing.reveal(NORTH, STREAM, words) == Personal(ANNA.subject, ERASED)
    assert len(keys.unwrapped) == 1


async def test_a_key_whose_minute_is_over_is_not_in_memory_any_more() -> None:
    clock, keys = FixedClock(MONDAY), InMemoryKeyring()
    sealing = Sealing(keys, clock)
    await sealed_event(sealing, CarLent(VAN, ANNA, MONDAY))
    clock.advance(timedelta(seconds=59))
    await sealed_event(sealing, CarLent(VAN, BERT, MONDAY))
    held_within = [subject for _, subject in sealing._cached]
    clock.advance(timedelta(seconds=1))
    await sealed_event(sealing, CarLent(VAN, CARL, MONDAY))

    assert held_within == [ANNA.subject, BERT.subject]
    assert [subject for _, subject in sealing._cached] == [BERT.subject, CARL.subject]


async def test_the_key_that_was_kept_first_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.sealing.CACHED_KEYS", 2)
    sealing = Sealing(InMemoryKeyring())

    for borrower in (ANNA, BERT, CARL):
        await sealed_event(sealing, CarLent(VAN, borrower, MONDAY))

    assert [subject for _, subject in sealing._cached] == [BERT.subject, CARL.subject]


async def test_two_texts_of_one_subject_are_sealed_with_one_key_and_two_nonces() -> None:
    keys = CountingKeyring()
    sealing = Sealing(keys)

    event = await sealed_event(sealing, MeterCorrected(1, 2, MONDAY, (ANNA, ANNA)))

    assert isinstance(event, MeterCorrected)
    first, second = (each.sealed for each in event.reasons)
    assert first is not None
    assert second is not None
    assert first.key_id == second.key_id
    assert first.nonce != second.nonce


async def test_whoever_seals_asks_once_and_within_a_minute_not_again() -> None:
    clock, keys = FixedClock(MONDAY), CountingKeyring()
    sealing = Sealing(keys, clock)
    words, _ = await sealed_words(sealing)

    clock.advance(timedelta(seconds=59))
    await sealed_words(sealing)
    assert await sealing.reveal(NORTH, STREAM, words) == ANNA
    asked_within = (list(keys.created), list(keys.unwrapped))
    clock.advance(timedelta(seconds=1))
    await sealed_words(sealing)

    assert asked_within == ([ANNA.subject], [])
    assert (keys.created, keys.unwrapped) == ([ANNA.subject] * 2, [])


@pytest.mark.integration
async def test_nothing_personal_is_stored_in_the_clear(app_pool: Pool, es: Database) -> None:
    keys = InMemoryKeyring()
    store: PostgresEventStore[LoanEvent] = PostgresEventStore(
        app_pool, CODEC, Sealing(keys), log=LOAN_LOG
    )
    stream = a_stream()
    await put(store, stream, 0, MeterRead(1, 1))
    await put(store, stream, 1, CarLent(VAN, ANNA, MONDAY), MeterCorrected(1, 2, MONDAY, (BEN,)))

    _, lending, correction = (each.event for each in (await store.read(NORTH, stream)).events)
    with psycopg.connect(es.superuser_dsn) as connection:
        rows = connection.execute("SELECT data, meta FROM es.event").fetchall()

    stored = b"".join(data + meta for data, meta in rows)
    assert b"Anna" not in stored
    assert b"Ben" not in stored
    assert await Sealing(keys).reveal(NORTH, stream, (lending, correction)) == (
        CarLent(VAN, ANNA, MONDAY),
        MeterCorrected(1, 2, MONDAY, (BEN,)),
    )
