from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from eventstore.store import Metadata
from testkit.events import LOAN_LOG
from testkit.store_contract import NORTH, EventStoreContract, Spoil
from testkit.unread import NEWER, SPOILED, append_unread

pytestmark = pytest.mark.integration


class TestPostgresEventStore(EventStoreContract):
    """With the store of conftest.py."""

    @pytest.fixture
    def another_release(self, app_pool: AsyncConnectionPool[AsyncConnection[Any]]) -> Spoil:
        async def append(
            stream: UUID, *, spoiled: bool = False, request: Metadata | None = None
        ) -> None:
            key = request.request_id if request else ""
            data = SPOILED if spoiled else NEWER
            await append_unread(app_pool, LOAN_LOG, NORTH, stream, data=data, key=key)

        return append
