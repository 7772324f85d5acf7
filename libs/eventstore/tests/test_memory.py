from uuid import UUID

import pytest

from eventstore.memory import InMemoryEventStore
from eventstore.store import Metadata
from testkit.events import LOAN_LOG, LoanEvent, loan_codec
from testkit.store_contract import NORTH, TUESDAY, EventStoreContract, Spoil
from testkit.unread import newer_type


class TestInMemoryEventStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> InMemoryEventStore[LoanEvent]:
        return InMemoryEventStore(log=LOAN_LOG, codec=loan_codec())

    @pytest.fixture
    def another_release(self, store: InMemoryEventStore[LoanEvent]) -> Spoil:
        async def append(
            stream: UUID, *, spoiled: bool = False, request: Metadata | None = None
        ) -> None:
            damage = "it was spoiled" if spoiled else ""
            store.append_unread(
                NORTH, stream, newer_type(LOAN_LOG), TUESDAY, damage=damage, request=request
            )

        return append
