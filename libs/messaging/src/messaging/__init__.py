"""From the log to Kafka and from Kafka to read models."""
