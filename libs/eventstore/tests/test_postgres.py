import pytest

from testkit.store_contract import EventStoreContract

pytestmark = pytest.mark.integration


class TestPostgresEventStore(EventStoreContract):
    """With the store of conftest.py."""
