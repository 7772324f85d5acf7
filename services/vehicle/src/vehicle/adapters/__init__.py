"""Where vehicles meet gRPC, Kafka, PostgreSQL and protobuf."""
