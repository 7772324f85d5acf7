"""The fixtures of testkit, for every test of the workspace."""

from testkit.servers import database, kafka_server, postgres_server, topic_prefix

__all__ = ["database", "kafka_server", "postgres_server", "topic_prefix"]
