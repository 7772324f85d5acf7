"""gRPC, Kafka, PostgreSQL and protobuf; and nothing else knows them."""
