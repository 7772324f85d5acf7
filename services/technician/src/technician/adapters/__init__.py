"""Where technicians meet gRPC, Kafka and SQL."""
