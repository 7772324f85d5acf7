import pytest

from eventstore.memory import InMemoryEventStore
from testkit.events import LOAN_LOG, LoanEvent, loan_codec
from testkit.store_contract import EventStoreContract


class TestInMemoryEventStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> InMemoryEventStore[LoanEvent]:
        return InMemoryEventStore(log=LOAN_LOG, codec=loan_codec())
