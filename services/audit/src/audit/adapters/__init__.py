"""Where the log meets Kafka, PostgreSQL, keys and files."""
