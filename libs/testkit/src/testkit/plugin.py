"""The fixtures of testkit for every test of the workspace."""

import pytest

pytest.register_assert_rewrite(
    "testkit.store_contract", "testkit.golden"
)  # before anybody has them

from testkit.servers import (  # noqa: E402
    database,
    kafka_server,
    postgres_server,
    topic_prefix,
    whole_stack,
)
from testkit.tokens import issuer  # noqa: E402

__all__ = ["database", "issuer", "kafka_server", "postgres_server", "topic_prefix", "whole_stack"]
