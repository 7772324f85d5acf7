"""Where subjects meet gRPC and their keys."""
