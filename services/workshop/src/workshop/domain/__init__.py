"""The rules of the workshop: pure functions over frozen values."""
