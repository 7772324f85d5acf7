from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from eventstore.keyring import InMemoryKeyring
from eventstore.postgres import PostgresEventStore
from eventstore.sealing import Sealing
from testkit.events import LOAN_LOG, LoanEvent, loan_codec
from testkit.store_contract import EventStoreContract

Pool = AsyncConnectionPool[AsyncConnection[Any]]

pytestmark = pytest.mark.integration


class TestPostgresEventStore(EventStoreContract):
    @pytest.fixture
    def store(self, app_pool: Pool) -> PostgresEventStore[LoanEvent]:
        return PostgresEventStore(app_pool, loan_codec(), Sealing(InMemoryKeyring()), log=LOAN_LOG)
