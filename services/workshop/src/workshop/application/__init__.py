"""What the workshop is asked to do and to tell; no protobuf, no SQL, no Kafka."""
