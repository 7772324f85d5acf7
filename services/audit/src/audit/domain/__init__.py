"""The proof itself: trees, records and checkpoints, without a database and without a key."""
