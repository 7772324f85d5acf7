"""The event log: decide, append, read, tail."""
