"""The fixtures of testkit for every test of the workspace, and who runs beside whom."""

from collections.abc import Sequence

import pytest

from testkit.servers import database, kafka_server, postgres_server, topic_prefix, whole_stack
from testkit.tokens import issuer

__all__ = ["database", "issuer", "kafka_server", "postgres_server", "topic_prefix", "whole_stack"]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Under xdist a file stays in one process, and all that need the whole stack share one."""
    for item in items:
        group = "stack" if item.get_closest_marker("e2e") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
