"""The rules of technicians: pure functions over frozen values."""
