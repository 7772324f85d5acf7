"""What every event store and every keyring must do: subclass it, and give it one to test."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

import pytest

from eventstore.decider import Answer, Facts, StaleVersion, execute
from eventstore.keyring import KeptKeys, SubjectForgotten
from eventstore.store import (
    LARGEST_EVENT,
    LONGEST_STREAM,
    Appended,
    Claim,
    ClaimTaken,
    EventStore,
    EventTooLarge,
    EventUnreadable,
    KeyReused,
    Metadata,
    New,
    OccurredInTheFuture,
    Stream,
    StreamTooLong,
    WrittenByANewerRelease,
    WrongVersion,
)
from kernel.clock import SystemClock
from kernel.ids import Uuid7
from kernel.personal import Personal
from testkit.events import (
    LOAN,
    LOAN_LOG,
    Bill,
    CarId,
    CarLent,
    CarLentElsewhere,
    CarReturned,
    CorrectMeter,
    Lend,
    Loan,
    LoanCommand,
    LoanEvent,
    MeterCorrected,
    MeterRead,
    ReadMeter,
    Return,
    loan_codec,
)
from testkit.unread import newer_type

NORTH, SOUTH = "north", "south"
VAN = CarId("van")
MONDAY = SystemClock().now().replace(microsecond=123_456) - timedelta(days=7)
NOON = MONDAY + timedelta(hours=4)
TUESDAY = MONDAY + timedelta(days=1)
ANNA = Personal("borrowers/anna", "Anna from accounting")

IDS = Uuid7()


def a_stream() -> UUID:
    return IDS.new()


def a_request(
    key: str = "", *, body: bytes = b"", at: datetime = TUESDAY, tenant: str = NORTH
) -> Metadata:
    """Of its own if no key is given."""
    key = key or str(IDS.new())
    return Metadata(tenant, "users/1", key, body or key.encode(), "corr", "cause", at)


def lent(*, car: CarId = VAN, at: datetime = MONDAY) -> CarLent:
    return CarLent(car, ANNA, at)


def told(letters: int) -> CarLent:
    return CarLent(VAN, Personal("borrowers/anna", "x" * letters), MONDAY)


async def put(
    store: EventStore[LoanEvent],
    stream: UUID,
    expected: int,
    *events: LoanEvent,
    request: Metadata | None = None,
    claims: Sequence[Claim] = (),
    known: Sequence[str] = ("car", "key"),
) -> Appended:
    request = request or a_request()
    dated = [New(event, request.occurred_at) for event in events]
    return await store.append(
        stream, expected, dated, claims, known, request, site="", fact_versions={}
    )


async def run(
    store: EventStore[LoanEvent],
    stream: UUID,
    command: LoanCommand,
    request: Metadata | None = None,
) -> Answer[Loan]:
    request = request or a_request()

    async def facts(loan: Loan) -> Facts[int]:
        return Facts(await store.next_number(request.tenant, "north-2026"), {"cars/van": 3})

    return await execute(
        LOAN, command, stream_id=stream, store=store, facts=facts, metadata=request
    )


async def all_of(*attempts: object) -> list[BaseException | object]:
    return list(await asyncio.gather(*attempts, return_exceptions=True))  # type: ignore[call-overload]  # awaitables of any kind


def words(stream: Stream[LoanEvent]) -> list[LoanEvent]:
    return [recorded.event for recorded in stream.events]


Spoil: TypeAlias = Callable[..., Awaitable[None]]


class EventStoreContract:
    """Needs a fixture `store`: an empty one, whose log is that of LoanEvent.

    And a fixture `another_release`, which appends to a stream of NORTH what this release cannot
    read; what cannot be read by any, with `spoiled=True`; under a key, with `request`.
    """

    async def test_a_stream_nobody_wrote_to_is_empty(self, store: EventStore[LoanEvent]) -> None:
        stream = a_stream()

        assert await store.read(NORTH, stream) == Stream(stream, ())
        assert (await store.read(NORTH, stream)).version == 0

    async def test_events_are_read_as_they_were_written(self, store: EventStore[LoanEvent]) -> None:
        stream = a_stream()
        first = await put(store, stream, 0, MeterRead(1, 10), MeterRead(2, 20))
        second = await put(store, stream, 2, CarReturned(MONDAY))

        read = await store.read(NORTH, stream)

        assert words(read) == [MeterRead(1, 10), MeterRead(2, 20), CarReturned(MONDAY)]
        assert [each.version for each in read.events] == [1, 2, 3]
        assert [each.occurred_at for each in read.events] == [TUESDAY] * 3
        assert (first.version, second.version, read.version) == (2, 3, 3)
        assert second.position == replace(first.position, pos=first.position.pos + 1)
        assert len({each.event_id for each in read.events}) == 3

    async def test_the_largest_event_is_stored_and_read_and_one_that_is_larger_is_not(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream, around = a_stream(), loan_codec().encode(told(80_000)).ByteSize() - 80_000
        largest = told(LARGEST_EVENT - around)
        assert loan_codec().encode(largest).ByteSize() == LARGEST_EVENT

        await put(store, stream, 0, largest)
        with pytest.raises(EventTooLarge) as refusal:
            await put(store, stream, 1, MeterRead(1, 1), told(LARGEST_EVENT - around + 1))

        assert refusal.value.facts == {
            "bytes": str(LARGEST_EVENT + 1),
            "most_bytes": str(LARGEST_EVENT),
        }
        assert (await store.read(NORTH, stream)).version == 1

    async def test_a_stream_has_an_end(self, store: EventStore[LoanEvent]) -> None:
        """The stream is empty: a version that would be its last is wrong, one beyond is too many."""
        stream, last = a_stream(), LONGEST_STREAM - 1

        with pytest.raises(WrongVersion):
            await put(store, stream, last, MeterRead(1, 10))
        with pytest.raises(StreamTooLong) as refusal:
            await put(store, stream, last, MeterRead(1, 10), MeterRead(2, 20))

        assert refusal.value.facts == {"events": str(last), "most_events": str(LONGEST_STREAM)}

    async def test_events_of_one_append_are_recorded_at_one_instant_and_later_ones_later(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()
        await put(store, stream, 0, MeterRead(1, 10), MeterRead(2, 20))
        await put(store, stream, 2, MeterRead(3, 30))

        first, second, third = (
            each.recorded_at for each in (await store.read(NORTH, stream)).events
        )

        assert first == second < third

    async def test_an_append_to_another_version_is_refused(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()
        await put(store, stream, 0, MeterRead(1, 10))

        for wrong in (0, 2):
            with pytest.raises(WrongVersion) as refusal:
                await put(store, stream, wrong, MeterRead(2, 20))
            assert refusal.value.version == 1
        assert (await store.read(NORTH, stream)).version == 1

    async def test_tenants_do_not_see_each_other(self, store: EventStore[LoanEvent]) -> None:
        stream = a_stream()
        van = [Claim("car", VAN)]
        await put(store, stream, 0, MeterRead(1, 10), claims=van, request=a_request("k"))
        await put(store, stream, 0, MeterRead(1, 99), claims=van, request=a_request("k", tenant=SOUTH, body=b"other"))  # fmt: skip

        assert words(await store.read(NORTH, stream)) == [MeterRead(1, 10)]
        assert words(await store.read(SOUTH, stream)) == [MeterRead(1, 99)]

    async def test_a_device_may_be_a_little_ahead_but_not_much(
        self, store: EventStore[LoanEvent]
    ) -> None:
        now = SystemClock().now()
        await put(store, a_stream(), 0, MeterRead(1, 1), request=a_request(at=now + timedelta(minutes=4)))  # fmt: skip

        with pytest.raises(OccurredInTheFuture):
            await put(store, a_stream(), 0, MeterRead(1, 1), request=a_request(at=now + timedelta(minutes=6)))  # fmt: skip

    async def test_a_key_used_again_answers_as_it_did(self, store: EventStore[LoanEvent]) -> None:
        stream, request = a_stream(), a_request()
        first = await put(store, stream, 0, MeterRead(1, 10), request=request)
        await put(store, stream, 1, MeterRead(2, 20))

        again = await put(store, stream, 2, MeterRead(3, 30), request=request)
        read = await store.read(NORTH, a_stream(), key=request.request_id)

        assert again == replace(first, replayed=True)
        assert (read.id, words(read)) == (stream, [MeterRead(1, 10)])
        assert read.used is not None
        assert (read.used.version, read.used.position) == (first.version, first.position)
        assert read.used.fingerprint == request.fingerprint
        assert (await store.read(NORTH, stream)).version == 2

    async def test_a_key_used_by_another_request_is_refused(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()
        await put(store, stream, 0, MeterRead(1, 10), request=a_request("key-1", body=b"one"))

        with pytest.raises(KeyReused):
            await put(store, stream, 1, MeterRead(2, 20), request=a_request("key-1", body=b"two"))
        assert (await store.read(NORTH, stream)).version == 1

    async def test_an_append_of_no_events_is_an_answer_too(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream, request = a_stream(), a_request()
        await put(store, stream, 0, MeterRead(1, 10))

        appended = await put(store, stream, 1, request=request)
        read = await store.read(NORTH, stream, key=request.request_id)

        assert appended.version == 1
        assert read.used is not None
        assert (read.used.version, words(read)) == (1, [MeterRead(1, 10)])

    async def test_what_is_claimed_is_not_claimed_again(self, store: EventStore[LoanEvent]) -> None:
        holder, other = a_stream(), a_stream()
        await put(store, holder, 0, MeterRead(1, 1), claims=[Claim("car", VAN)])

        with pytest.raises(ClaimTaken) as refusal:
            await put(store, other, 0, MeterRead(1, 1), claims=[Claim("car", VAN)])

        taken = refusal.value
        assert (taken.scope, taken.key, taken.holder) == ("car", VAN, holder)
        assert (await store.read(NORTH, other)).version == 0

    async def test_a_claim_with_a_slash_in_it_names_its_parts(
        self, store: EventStore[LoanEvent]
    ) -> None:
        claim = Claim("number/a/b", "7")
        await put(store, a_stream(), 0, claims=[claim], known=["number/a/b"])

        with pytest.raises(ClaimTaken) as refusal:
            await put(store, a_stream(), 0, claims=[claim], known=["number/a/b"])

        assert (refusal.value.scope, refusal.value.key) == ("number/a/b", "7")

    @pytest.mark.parametrize(
        ("start", "end", "is_free"),
        [
            (MONDAY, NOON, False),
            (MONDAY - timedelta(hours=1), MONDAY, True),
            (NOON, TUESDAY, True),
            (MONDAY + timedelta(hours=1), MONDAY + timedelta(hours=2), False),
            (MONDAY - timedelta(hours=1), MONDAY + timedelta(microseconds=1), False),
            (NOON - timedelta(microseconds=1), None, False),
            (None, MONDAY, True),
            (None, None, False),
            (TUESDAY, None, True),
        ],
    )
    async def test_intervals_are_half_open(
        self,
        store: EventStore[LoanEvent],
        start: datetime | None,
        end: datetime | None,
        is_free: bool,
    ) -> None:
        await put(store, a_stream(), 0, claims=[Claim("car", VAN, MONDAY, NOON)])

        outcome, *_ = await all_of(
            put(store, a_stream(), 0, claims=[Claim("car", VAN, start, end)])
        )

        assert isinstance(outcome, Appended if is_free else ClaimTaken)

    async def test_a_claim_not_held_any_more_is_free(self, store: EventStore[LoanEvent]) -> None:
        holder = a_stream()
        await put(store, holder, 0, claims=[Claim("car", VAN), Claim("key", "7")])
        await put(store, holder, 0, claims=[Claim("key", "7")])

        await put(store, a_stream(), 0, claims=[Claim("car", VAN)])

        with pytest.raises(ClaimTaken):
            await put(store, a_stream(), 0, claims=[Claim("key", "7")])

    async def test_a_scope_of_another_release_is_left_alone(
        self, store: EventStore[LoanEvent]
    ) -> None:
        holder = a_stream()
        await put(store, holder, 0, claims=[Claim("car", VAN), Claim("key", "7")])

        await put(store, holder, 0, claims=[], known=["car"])

        await put(store, a_stream(), 0, claims=[Claim("car", VAN)])
        with pytest.raises(ClaimTaken):
            await put(store, a_stream(), 0, claims=[Claim("key", "7")])

    async def test_a_claim_that_was_refused_leaves_nothing_behind(
        self, store: EventStore[LoanEvent]
    ) -> None:
        loser, request = a_stream(), a_request()
        await put(store, a_stream(), 0, claims=[Claim("key", "7")])
        wanted = [Claim("car", VAN), Claim("key", "7")]

        with pytest.raises(ClaimTaken):
            await put(store, loser, 0, MeterRead(1, 1), claims=wanted, request=request)

        assert await store.read(NORTH, loser, key=request.request_id) == Stream(loser, ())
        await put(store, a_stream(), 0, claims=[Claim("car", VAN)])

    async def test_of_fifty_who_claim_the_same_one_wins(self, store: EventStore[LoanEvent]) -> None:
        streams = [a_stream() for _ in range(50)]

        outcomes = await all_of(
            *(put(store, each, 0, MeterRead(1, 1), claims=[Claim("car", VAN)]) for each in streams)
        )

        winners = [
            stream
            for stream, outcome in zip(streams, outcomes, strict=True)
            if isinstance(outcome, Appended)
        ]
        assert len(winners) == 1
        assert {each.holder for each in outcomes if isinstance(each, ClaimTaken)} == set(winners)
        assert sum(isinstance(each, ClaimTaken) for each in outcomes) == 49

    async def test_of_fifty_who_write_the_same_version_one_wins(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()

        outcomes = await all_of(*(put(store, stream, 0, MeterRead(n, n)) for n in range(50)))

        assert sum(isinstance(each, Appended) for each in outcomes) == 1
        assert sum(isinstance(each, WrongVersion) for each in outcomes) == 49
        assert (await store.read(NORTH, stream)).version == 1

    async def test_one_key_sent_a_hundred_times_at_once_is_one_append(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream, request = a_stream(), a_request()

        answers = await asyncio.gather(
            *(run(store, stream, Lend(VAN, ANNA, MONDAY), request) for _ in range(100))
        )

        assert {each.position for each in answers} == {answers[0].position}
        assert {each.version for each in answers} == {1}
        assert sum(not each.replayed for each in answers) == 1
        assert (await store.read(NORTH, stream)).version == 1

    async def test_one_key_sent_for_many_streams_at_once_is_one_append(
        self, store: EventStore[LoanEvent]
    ) -> None:
        request = a_request()
        streams = [a_stream() for _ in range(16)]

        outcomes = await asyncio.gather(
            *(put(store, each, 0, MeterRead(1, 1), request=request) for each in streams)
        )
        written = [(await store.read(NORTH, each)).version for each in streams]

        assert sorted(written) == [0] * 15 + [1]
        assert {each.position for each in outcomes} == {outcomes[0].position}
        assert sum(not each.replayed for each in outcomes) == 1

    async def test_claims_taken_in_any_order_never_wait_for_each_other(
        self, store: EventStore[LoanEvent]
    ) -> None:
        keys = [Claim("key", str(number)) for number in range(8)]

        for _ in range(5):
            there, back = (a_stream() for _ in range(2))
            outcomes = await all_of(
                *(put(store, there, 0, claims=keys) for _ in range(4)),
                *(put(store, back, 0, claims=keys[::-1]) for _ in range(4)),
            )
            holder = next(each for each in outcomes if isinstance(each, ClaimTaken)).holder
            assert all(isinstance(each, Appended | ClaimTaken) for each in outcomes)
            assert holder in {there, back}
            await put(store, holder, 0, claims=[])

    async def test_fifty_commands_on_one_stream_all_get_their_turn(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()
        await run(store, stream, Lend(VAN, ANNA, MONDAY))

        answers = await asyncio.gather(*(run(store, stream, ReadMeter(n)) for n in range(50)))

        assert sorted(each.version for each in answers) == list(range(2, 52))
        state = max(answers, key=lambda each: each.version).state
        assert {number for number, _ in state.readings} == set(range(1, 51))

    async def test_of_fifty_who_saw_the_same_version_one_wins(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()
        await run(store, stream, Lend(VAN, ANNA, MONDAY))
        seen = [replace(a_request(), expected_version=1) for _ in range(50)]

        outcomes = await all_of(*(run(store, stream, ReadMeter(1), each) for each in seen))

        assert sum(isinstance(each, Answer) for each in outcomes) == 1
        assert sum(isinstance(each, StaleVersion) for each in outcomes) == 49

    async def test_of_fifty_who_borrow_one_car_one_gets_it_and_the_others_learn_who(
        self, store: EventStore[LoanEvent]
    ) -> None:
        outcomes = await all_of(
            *(run(store, a_stream(), Lend(VAN, ANNA, MONDAY)) for _ in range(50))
        )

        (winner,) = (each for each in outcomes if isinstance(each, Answer))
        refusals = [each for each in outcomes if isinstance(each, CarLentElsewhere)]
        assert len(refusals) == 49
        assert {each.facts["loan"] for each in refusals} == {str(winner.stream_id)}

    async def test_numbers_of_a_series_have_no_gaps(self, store: EventStore[LoanEvent]) -> None:
        loans = [a_stream() for _ in range(40)]
        for number, loan in enumerate(loans):
            await run(store, loan, Lend(CarId(f"car-{number}"), ANNA, MONDAY))

        bills = await asyncio.gather(*(run(store, loan, Bill("north-2026")) for loan in loans))

        numbers = sorted(number for bill in bills for _, number in bill.state.numbers)
        assert numbers == list(range(1, 41))

    async def test_a_number_is_never_given_up(self, store: EventStore[LoanEvent]) -> None:
        loan = a_stream()
        await run(store, loan, Lend(VAN, ANNA, MONDAY))
        await run(store, loan, Bill("north-2026"))
        await put(store, loan, 2, claims=[])

        assert await store.next_number(NORTH, "north-2026") == 2
        assert await store.next_number(NORTH, "other") == 1
        assert await store.next_number(SOUTH, "north-2026") == 1

    async def test_a_retry_after_a_lost_answer_is_not_refused_by_its_own_effect(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream, request = a_stream(), replace(a_request(), expected_version=0)
        first = await run(store, stream, Lend(VAN, ANNA, MONDAY), request)
        await run(store, stream, ReadMeter(10))

        again = await run(store, stream, Lend(VAN, ANNA, MONDAY), request)

        assert (again.replayed, again.version, again.position) == (True, 1, first.position)
        assert (again.stream_id, again.state.readings) == (stream, frozenset())
        assert again.state.car == VAN

    async def test_a_command_that_changes_nothing_still_answers_its_retry(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream, request = a_stream(), a_request()
        await run(store, stream, Lend(VAN, ANNA, MONDAY))

        first = await run(store, stream, Lend(VAN, ANNA, MONDAY), request)
        again = await run(store, stream, Lend(VAN, ANNA, MONDAY), request)

        assert (first.version, first.replayed) == (1, False)
        assert (again.version, again.replayed) == (1, True)

    async def test_only_a_correction_occurs_before_its_predecessor(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()
        await run(store, stream, Lend(VAN, ANNA, MONDAY), a_request(at=TUESDAY))
        await run(store, stream, CorrectMeter(1, 5, MONDAY, ANNA), a_request(at=TUESDAY))
        await run(store, stream, ReadMeter(7), a_request(at=NOON))

        times = [each.occurred_at for each in (await store.read(NORTH, stream)).events]

        assert times == [TUESDAY, MONDAY, TUESDAY]

    async def test_a_car_that_came_back_is_lent_again(self, store: EventStore[LoanEvent]) -> None:
        first = a_stream()
        await run(store, first, Lend(VAN, ANNA, MONDAY))
        await run(store, first, Return(NOON))

        answer = await run(store, a_stream(), Lend(VAN, ANNA, NOON))

        assert answer.state.car == VAN

    async def test_personal_words_are_there_after_reading(
        self, store: EventStore[LoanEvent]
    ) -> None:
        stream = a_stream()
        await put(store, stream, 0, lent(), MeterCorrected(1, 2, MONDAY, (ANNA, ANNA)))

        lending, correction = words(await store.read(NORTH, stream))

        assert isinstance(lending, CarLent)
        assert isinstance(correction, MeterCorrected)
        found = (lending.borrower, *correction.reasons)
        assert {each.subject for each in found} == {ANNA.subject}
        assert len(found) == 3

    async def test_what_a_newer_release_wrote_is_named_and_the_rest_is_read(
        self, store: EventStore[LoanEvent], another_release: Spoil
    ) -> None:
        stream = a_stream()
        await put(store, stream, 0, MeterRead(1, 10))
        await another_release(stream)
        await put(store, stream, 2, MeterRead(2, 20))

        read = await store.read(NORTH, stream)

        assert words(read) == [MeterRead(1, 10), MeterRead(2, 20)]
        assert [(each.version, each.type, each.damage) for each in read.unread] == [
            (2, newer_type(LOAN_LOG), "")
        ]
        assert read.version == 3

    async def test_what_can_be_read_by_nobody_is_named_with_its_damage(
        self, store: EventStore[LoanEvent], another_release: Spoil
    ) -> None:
        stream = a_stream()
        await put(store, stream, 0, MeterRead(1, 10))
        await another_release(stream, spoiled=True)

        read = await store.read(NORTH, stream)

        assert words(read) == [MeterRead(1, 10)]
        assert read.version == 2
        assert read.unread[0].damage
        with pytest.raises(EventUnreadable) as refusal:
            read.require_undamaged()
        assert refusal.value.facts["version"] == "2"

    @pytest.mark.parametrize("spoiled", [False, True])
    @pytest.mark.parametrize("before", [0, 1])
    async def test_nothing_is_decided_on_a_stream_that_cannot_be_read_as_a_whole(
        self, store: EventStore[LoanEvent], another_release: Spoil, *, before: int, spoiled: bool
    ) -> None:
        stream, request = a_stream(), a_request()
        await put(store, stream, 0, *[lent()][:before])
        await another_release(stream, spoiled=spoiled)

        for command in (ReadMeter(5), Lend(VAN, ANNA, MONDAY), Return(NOON)):
            with pytest.raises(EventUnreadable if spoiled else WrittenByANewerRelease) as refusal:
                await run(store, stream, command, request)
            assert refusal.value.facts["stream"] == str(stream)

        read = await store.read(NORTH, stream, key=request.request_id)
        assert (read.version, read.used) == (before + 1, None)

    async def test_who_loses_a_race_to_a_newer_release_decides_nothing(
        self, store: EventStore[LoanEvent], another_release: Spoil
    ) -> None:
        stream = a_stream()
        await put(store, stream, 0, lent())

        async def overtaken(loan: Loan) -> Facts[int]:
            await another_release(stream)
            return Facts(1)

        with pytest.raises(WrittenByANewerRelease):
            await execute(
                LOAN,
                ReadMeter(5),
                stream_id=stream,
                store=store,
                facts=overtaken,
                metadata=a_request(),
            )
        assert (await store.read(NORTH, stream)).version == 2

    async def test_a_key_answers_again_where_a_newer_release_wrote_later(
        self, store: EventStore[LoanEvent], another_release: Spoil
    ) -> None:
        stream, request = a_stream(), a_request()
        first = await run(store, stream, Lend(VAN, ANNA, MONDAY), request)
        await another_release(stream)

        again = await run(store, stream, Lend(VAN, ANNA, MONDAY), request)

        assert again == replace(first, replayed=True, state=again.state)
        assert (again.version, again.state.car) == (1, VAN)

    async def test_a_key_whose_answer_a_newer_release_wrote_is_answered_by_that_one_only(
        self, store: EventStore[LoanEvent], another_release: Spoil
    ) -> None:
        stream, request = a_stream(), a_request()
        await put(store, stream, 0, lent())
        await another_release(stream, request=request)

        with pytest.raises(WrittenByANewerRelease):
            await run(store, a_stream(), ReadMeter(5), request)
        with pytest.raises(KeyReused):
            await run(store, stream, ReadMeter(5), a_request(request.request_id, body=b"other"))

    async def test_other_streams_know_nothing_of_it(
        self, store: EventStore[LoanEvent], another_release: Spoil
    ) -> None:
        await another_release(a_stream(), spoiled=True)
        await another_release(a_stream())

        answer = await run(store, a_stream(), Lend(VAN, ANNA, MONDAY))

        assert (answer.version, answer.state.car) == (1, VAN)


class SubjectKeysContract:
    """Needs a fixture `keys`: an empty keyring that may also forget."""

    async def test_a_subject_never_seen_has_no_key(self, keys: KeptKeys) -> None:
        assert await keys.unwrap(NORTH, ["jobs/1"]) == {}

    async def test_a_key_once_made_stays(self, keys: KeptKeys) -> None:
        made = await keys.create(NORTH, "jobs/1")

        assert await keys.create(NORTH, "jobs/1") == made
        assert await keys.unwrap(NORTH, ["jobs/1", "jobs/2"]) == {"jobs/1": made}
        assert len(made.secret) == 32

    async def test_racers_get_the_same_key(self, keys: KeptKeys) -> None:
        made = await asyncio.gather(*(keys.create(NORTH, "jobs/1") for _ in range(20)))

        assert len({each.secret for each in made}) == 1

    async def test_tenants_and_subjects_have_keys_of_their_own(self, keys: KeptKeys) -> None:
        made = [
            await keys.create(tenant, subject)
            for tenant in (NORTH, SOUTH)
            for subject in ("jobs/1", "jobs/2")
        ]

        assert len({each.secret for each in made}) == 4

    async def test_a_forgotten_subject_has_no_key_and_gets_none(self, keys: KeptKeys) -> None:
        await keys.create(NORTH, "jobs/1")
        await keys.forget(NORTH, "jobs/1")
        await keys.forget(NORTH, "jobs/1")

        assert await keys.unwrap(NORTH, ["jobs/1"]) == {"jobs/1": None}
        with pytest.raises(SubjectForgotten):
            await keys.create(NORTH, "jobs/1")

    async def test_a_subject_never_seen_can_be_forgotten(self, keys: KeptKeys) -> None:
        await keys.forget(NORTH, "jobs/9")

        with pytest.raises(SubjectForgotten):
            await keys.create(NORTH, "jobs/9")
        assert await keys.unwrap(SOUTH, ["jobs/9"]) == {}
