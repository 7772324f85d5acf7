"""What every service process has: settings, logs, telemetry, gRPC, identity."""
