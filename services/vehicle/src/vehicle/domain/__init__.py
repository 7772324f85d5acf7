"""The rules of vehicles: pure functions over frozen values."""
