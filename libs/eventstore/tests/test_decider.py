from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from bayline.event.v1 import metadata_pb2
from eventstore import decider
from eventstore.decider import (
    Decider,
    Facts,
    StaleVersion,
    StreamContended,
    execute,
    fold,
    no_facts,
)
from eventstore.memory import InMemoryEventStore
from eventstore.store import (
    AlreadyClaimed,
    Appended,
    Claim,
    KeyReused,
    Recorded,
    StoreUnavailable,
    WrongVersion,
)
from kernel.clock import FixedClock
from kernel.errors import Forbidden
from kernel.ids import SequentialIds
from testkit.events import (
    LOAN,
    LOAN_LOG,
    CarLent,
    CarNotLent,
    CarReturned,
    CorrectMeter,
    Lend,
    Loan,
    LoanEvent,
    MeterCorrected,
    MeterRead,
    ReadMeter,
    decide,
    evolve,
)
from testkit.given import Given
from testkit.store_contract import ANNA, MONDAY, NOON, NORTH, TUESDAY, VAN, a_request, a_stream, run

LENT = CarLent(VAN, ANNA, MONDAY)
given: Given[Loan, LoanEvent] = Given(evolve, Loan())


@pytest.fixture
def store() -> InMemoryEventStore[LoanEvent]:
    return InMemoryEventStore(
        log=LOAN_LOG, clock=FixedClock(TUESDAY + timedelta(days=1)), ids=SequentialIds()
    )


@dataclass
class Stumbling(InMemoryEventStore[LoanEvent]):
    """Fails to answer, or loses its answer, as often as told."""

    refusals: int = 0
    lost_answers: int = 0
    outruns: int = 0

    def __post_init__(self) -> None:
        super().__init__(log=LOAN_LOG)

    async def append(self, stream: UUID, *arguments: Any, **more: Any) -> Appended:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("not now")
        if self.outruns:
            self.outruns -= 1
            raise WrongVersion(7)
        appended = await super().append(stream, *arguments, **more)
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreUnavailable("the answer was lost")
        return appended


def test_a_command_is_refused_by_the_state_it_meets() -> None:
    with pytest.raises(CarNotLent):
        given().when(decide, ReadMeter(10), 1)

    assert given(LENT).when(decide, ReadMeter(10), 1) == [MeterRead(1, 10)]


async def test_a_command_is_decided_again_when_the_store_did_not_answer() -> None:
    store = Stumbling(refusals=3)

    answer = await run(store, a_stream(), Lend(VAN, ANNA, MONDAY))

    assert (answer.version, answer.replayed) == (1, False)


async def test_an_answer_that_was_lost_is_found_again() -> None:
    store = Stumbling(lost_answers=1)
    stream = a_stream()

    answer = await run(store, stream, Lend(VAN, ANNA, MONDAY))

    assert (answer.version, answer.replayed) == (1, True)
    assert (await store.read(NORTH, stream)).version == 1


async def test_a_store_that_stays_away_is_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider, "LONGEST_PAUSE", 0.0)
    store = Stumbling(refusals=1000)

    with pytest.raises(StoreUnavailable):
        await run(store, a_stream(), Lend(VAN, ANNA, MONDAY))

    assert store.refusals == 1000 - decider.ATTEMPTS


async def test_patience_ends_before_the_attempts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider, "PATIENCE", -1.0)
    store = Stumbling(refusals=1000)

    with pytest.raises(StoreUnavailable):
        await run(store, a_stream(), Lend(VAN, ANNA, MONDAY))

    assert store.refusals == 999


async def test_who_is_outrun_each_time_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider, "LONGEST_PAUSE", 0.0)

    with pytest.raises(StreamContended):
        await run(Stumbling(outruns=1000), a_stream(), Lend(VAN, ANNA, MONDAY))


async def test_a_version_that_is_not_the_last_is_refused_before_anything_is_decided(
    store: InMemoryEventStore[LoanEvent],
) -> None:
    stream = a_stream()
    await run(store, stream, Lend(VAN, ANNA, MONDAY))

    with pytest.raises(StaleVersion) as refusal:
        await run(store, stream, ReadMeter(1), replace(a_request(), expected_version=0))

    assert refusal.value.facts == {"current_version": "1"}


async def test_a_key_of_another_log_is_a_key_of_another_request(
    store: InMemoryEventStore[LoanEvent],
) -> None:
    stream, request = a_stream(), a_request()
    await run(store, stream, Lend(VAN, ANNA, MONDAY), request)
    store.log = "bayline.testkit.v1.OtherEvent"

    with pytest.raises(KeyReused):
        await run(store, stream, Lend(VAN, ANNA, MONDAY), request)


async def test_a_guard_sees_the_state_before_anything_else_does(
    store: InMemoryEventStore[LoanEvent],
) -> None:
    def nobody(loan: Loan) -> None:
        raise Forbidden("not yours", car=str(loan.car))

    stream, request = a_stream(), a_request()
    await run(store, stream, Lend(VAN, ANNA, MONDAY), request)

    for metadata in (request, a_request()):
        with pytest.raises(Forbidden) as refusal:
            await execute(
                LOAN,
                ReadMeter(1),
                stream_id=stream,
                store=store,
                facts=no_number,
                metadata=metadata,
                guard=nobody,
            )
        assert refusal.value.facts == {"car": "van"}


async def test_a_decider_without_claims_sites_or_facts_says_only_what_it_must(
    store: InMemoryEventStore[LoanEvent],
) -> None:
    plain: Decider[int, int, LoanEvent, None] = Decider(
        initial=0,
        decide=lambda command, state, _: [MeterRead(command, state)],
        evolve=lambda state, _: state + 1,
    )
    request = a_request()

    answer = await execute(
        plain, 5, stream_id=a_stream(), store=store, facts=no_facts, metadata=request
    )

    assert (answer.state, answer.version) == (1, 1)


async def test_a_taken_claim_is_refused_in_plain_words_unless_there_are_better(
    store: InMemoryEventStore[LoanEvent],
) -> None:
    greedy: Decider[None, int, LoanEvent, None] = Decider(
        initial=0,
        decide=lambda *_: [],
        evolve=lambda state, _: state,
        claims=lambda _: {Claim("all", "of-it")},
        scopes=frozenset({"all"}),
    )
    holder, other = a_stream(), a_stream()

    async def take(stream: UUID) -> None:
        await execute(
            greedy, None, stream_id=stream, store=store, facts=no_facts, metadata=a_request()
        )

    await take(holder)
    with pytest.raises(AlreadyClaimed) as refusal:
        await take(other)

    assert refusal.value.facts == {"scope": "all", "key": "of-it", "holder": str(holder)}


async def test_what_is_stored_beside_an_event_says_who_why_and_on_what_grounds(
    store: InMemoryEventStore[LoanEvent],
) -> None:
    stream = a_stream()
    await run(store, stream, Lend(VAN, ANNA, MONDAY), a_request("lend-1", at=TUESDAY))
    await run(store, stream, ReadMeter(3), a_request("read-1", at=NOON))

    lending, reading = (await store.read(NORTH, stream)).events

    assert metadata_pb2.Metadata.FromString(lending.meta) == metadata_pb2.Metadata(
        actor="users/1",
        request_id="lend-1",
        correlation_id="corr",
        causation_id="cause",
        site="sites/van",
        dataschema=LOAN_LOG,
        fact_versions={"cars/van": 3},
    )
    told = metadata_pb2.Metadata.FromString(reading.meta)
    assert reading.occurred_at == TUESDAY
    assert told.device_time.ToDatetime(UTC) == NOON


async def test_a_reading_dated_back_shows_in_the_past_once_it_is_known() -> None:
    clock = FixedClock(MONDAY)
    store: InMemoryEventStore[LoanEvent] = InMemoryEventStore(log=LOAN_LOG, clock=clock)
    stream = a_stream()
    await run(store, stream, Lend(VAN, ANNA, MONDAY), a_request(at=MONDAY))
    await run(store, stream, ReadMeter(1_999_105), a_request(at=MONDAY))
    clock.at = TUESDAY
    await run(store, stream, CorrectMeter(1, 199_105, MONDAY, ANNA), a_request(at=TUESDAY))
    events = (await store.read(NORTH, stream)).events

    def corrections(
        as_of: datetime, known_at: datetime | None = None
    ) -> frozenset[tuple[int, int]]:
        return fold(evolve, Loan(), events, as_of=as_of, known_at=known_at).corrections

    assert corrections(as_of=NOON, known_at=NOON) == frozenset()
    assert corrections(as_of=NOON) == {(1, 199_105)}
    assert fold(evolve, Loan(), events, known_at=NOON).corrections == frozenset()
    assert fold(evolve, Loan(), events, as_of=MONDAY - timedelta(hours=1)) == Loan()


hours = st.integers(0, 72).map(lambda hour: MONDAY + timedelta(hours=hour))
told = st.lists(
    st.one_of(
        st.builds(CarLent, st.just(VAN), st.just(ANNA), hours),
        st.builds(MeterRead, st.integers(1, 3), st.integers(0, 9)),
        st.builds(MeterCorrected, st.integers(1, 3), st.integers(0, 9), hours, st.just((ANNA,))),
        st.builds(CarReturned, hours),
    ),
    max_size=12,
)


def as_recorded(events: Sequence[LoanEvent], said: Sequence[datetime]) -> list[Recorded[LoanEvent]]:
    """As `execute` and a store would have dated them, one a day."""
    recorded: list[Recorded[LoanEvent]] = []
    for number, (event, said_at) in enumerate(zip(events, said, strict=True), start=1):
        (new,) = decider._dated(LOAN, recorded, [event], said_at)
        at = MONDAY + timedelta(days=7 + number)
        recorded.append(Recorded(number, event, new.occurred_at, at, UUID(int=number), b""))
    return recorded


@for_all(told, st.lists(hours, min_size=12, max_size=12))
def test_as_of_now_known_now_is_the_plain_fold(
    events: list[LoanEvent], said: list[datetime]
) -> None:
    recorded = as_recorded(events, said[: len(events)])
    now = MONDAY + timedelta(days=99)

    assert fold(evolve, Loan(), recorded, as_of=now, known_at=now) == fold(evolve, Loan(), recorded)


@for_all(told, st.lists(hours, min_size=12, max_size=12), st.integers(0, 12), hours)
def test_what_was_known_then_does_not_depend_on_what_came_later(
    events: list[LoanEvent], said: list[datetime], known: int, as_of: datetime
) -> None:
    recorded = as_recorded(events, said[: len(events)])
    known_at = MONDAY + timedelta(days=7 + known)

    assert fold(evolve, Loan(), recorded, as_of=as_of, known_at=known_at) == fold(
        evolve, Loan(), recorded[:known], as_of=as_of
    )


@for_all(told, st.lists(hours, min_size=12, max_size=12))
def test_only_corrections_occur_before_their_predecessors(
    events: list[LoanEvent], said: list[datetime]
) -> None:
    recorded = as_recorded(events, said[: len(events)])

    latest = datetime.min.replace(tzinfo=UTC)
    for each in recorded:
        assert isinstance(each.event, MeterCorrected) or each.occurred_at >= latest
        latest = max(latest, each.occurred_at)


async def no_number(loan: Loan) -> Facts[int]:
    return Facts(0)
