"""Given / when / then, contract suites, real servers, failpoints."""
