"""Live and replayed streams: from Kafka while they happen, from the store before that."""
