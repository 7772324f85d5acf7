"""Use cases of technicians: they talk to ports."""
